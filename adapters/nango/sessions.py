"""Connect sessions: what Nango is asked for one, and what it gives."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from adapters.nango.answers import SessionAnswer
from adapters.nango.failures import success
from application.ports import Session
from domain.errors import GatewayNonsense

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from adapters.nango.client import Answer

_LINK = re.compile(r"https?://[!-~]{1,8192}")


def session_request(
    integration: str,
    *,
    tags: Mapping[str, str],
    connection_config: Mapping[str, str],
    authorization_params: Mapping[str, str],
    reconnect: str | None,
) -> tuple[str, dict[str, Any]]:
    """Give path and body.

    A reconnect wipes the tags and the connection_config that are not sent again, so both are, always. Nango
    does without an end user where there are tags.
    """
    body: dict[str, Any] = {
        "tags": dict(tags),
        "integrations_config_defaults": {
            integration: {
                "connection_config": dict(connection_config),
                "authorization_params": dict(authorization_params),
            }
        },
    }
    if reconnect is None:
        return "/connect/sessions", body | {"allowed_integrations": [integration]}
    return "/connect/sessions/reconnect", body | {"connection_id": reconnect, "integration_id": integration}


def read_session(answer: Answer, integration: str) -> Session:
    """Read the session; a link that cannot be given on is none.

    Raises:
        IntegrationMissing: Nango has no such integration.
        GrantNotFound: the connection to reconnect is gone at Nango.
        GatewayNonsense: also where it ends at a time that UTC does not have.

    """
    data = success(answer, SessionAnswer, integration, status=201).data
    try:
        expires_at = data.expires_at.astimezone(UTC)
    except OverflowError:
        raise GatewayNonsense from None
    link = data.connect_link if _LINK.fullmatch(data.connect_link or "") else None
    return Session(token=data.token, connect_link=link, expires_at=expires_at)
