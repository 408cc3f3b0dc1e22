"""The providers: what they are, and how to read what they answer."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from application.ports.echoes import without_likely

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from application.ports.gateway import ProviderAnswer
    from domain.provider import Provider

MAX_TEXT = 300
"""Characters of a provider's words that are kept and shown."""


def plain_text(value: Any) -> str | None:
    """Give a text or a whole number as one line that can be stored and shown; None for anything else.

    A provider's words are untrusted. Control characters, lone surrogates and marks that change the direction
    of text are left out, and what is longer than `MAX_TEXT` is cut.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return _one_line(str(value))[:MAX_TEXT] or None


def spoken(value: Any) -> str | None:
    """Give a provider's sentence as `plain_text` does, and without what looks like a credential.

    Some say "Invalid API key: " and then the whole key, long after we have forgotten which it was.
    """
    return plain_text(without_likely(_one_line(value)) if isinstance(value, str) else value)


def _one_line(text: str) -> str:
    visible = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(visible.split())


class Health(StrEnum):
    """What an identity call says of the credentials."""

    HEALTHY = "healthy"
    FORBIDDEN = "forbidden"
    DEAD = "dead"


@frozen(kw_only=True)
class Verdict:
    """How the provider's answer reads. FORBIDDEN: good credentials that may not ask who they are.

    The texts are made plain here, whoever has read them out of the answer.
    """

    health: Health
    account_id: str | None = field(default=None, converter=plain_text)
    account_name: str | None = field(default=None, converter=plain_text)
    reason: str | None = field(default=None, converter=spoken)


class ProviderAdapter(Protocol):
    """A provider: its description, and how to read what it answers."""

    provider: Provider

    @abstractmethod
    def base_url(self, parameters: Mapping[str, str]) -> str | None:
        """Give the address of the identity call where Nango's default does not serve."""

    @abstractmethod
    def read(
        self, answer: ProviderAnswer, *, connection_config: Mapping[str, Any], token: Mapping[str, Any]
    ) -> Verdict:
        """Judge the answer to the identity call.

        Raises:
            ProviderUnavailable: 429 or 5xx, or the provider's own way of saying "later".
            GatewayNonsense: an answer that says nothing of the credentials.

        """


class ProviderCatalogue(Protocol):
    """The providers this deployment knows."""

    @abstractmethod
    def get(self, key: str) -> ProviderAdapter:
        """Give a provider.

        Raises:
            InvalidInput: no such provider; names those there are.

        """

    @abstractmethod
    def all(self) -> Sequence[Provider]:
        """Give every description, by key."""
