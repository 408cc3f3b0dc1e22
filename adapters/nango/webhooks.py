"""Nango's webhooks: who sent them, and what they speak of (Nango 0.71.4, observed)."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from msgspec import Struct

from adapters.nango.answers import decoded_or_none
from adapters.nango.connections import is_name
from application.ports import Notice, NoticeReader
from domain.errors import WebhookRefused

if TYPE_CHECKING:
    from collections.abc import Sequence


_WELL = frozenset({"creation", "refresh"})
"""What tells of credentials that work, where it succeeded; an override may be another account."""


class _Webhook(Struct, rename="camel"):
    """The part of a webhook of type auth that we read; a failed creation carries no tags."""

    type: str
    operation: str = ""
    success: bool = True
    connection_id: str = ""
    provider_config_key: str = ""
    tags: dict[str, str] | None = None


class NangoNotices(NoticeReader):
    """Reads webhooks that one of the environment's signing keys has signed.

    `X-Nango-Hmac-Sha256` is the hex HMAC-SHA256 of the raw body. There is no timestamp in it, so a replay is
    as genuine as the original.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the current signing keys: several during a rotation, none to refuse every webhook."""
        self._keys = [key.encode() for key in keys]

    def read(self, body: bytes, signature: str | None) -> Notice | None:
        """See the port."""
        given = (signature or "").encode(errors="replace")
        signatures = [hmac.new(key, body, hashlib.sha256).hexdigest().encode() for key in self._keys]
        # Every key is tried, so that the time taken does not tell which one fits.
        if not sum(hmac.compare_digest(given, expected) for expected in signatures):
            raise WebhookRefused
        webhook = decoded_or_none(body, _Webhook)
        if webhook is None:
            return None  # genuine, and of a kind that we do not know
        attempt_id = (webhook.tags or {}).get("attempt")
        names = (webhook.provider_config_key, webhook.connection_id, attempt_id or "-")
        if webhook.type != "auth" or not all(map(is_name, names)):
            return None
        return Notice(
            integration=webhook.provider_config_key,
            nango_id=webhook.connection_id,
            attempt_id=attempt_id or None,
            trouble=not webhook.success,
            well=webhook.success and webhook.operation in _WELL,
        )
