"""The providers: what they are, and how to read what they answer."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from application.ports.gateway import ProviderAnswer
    from domain.provider import Provider


class Health(StrEnum):
    """What an identity call says of the credentials."""

    HEALTHY = "healthy"
    FORBIDDEN = "forbidden"
    DEAD = "dead"


@frozen(kw_only=True)
class Verdict:
    """How the provider's answer reads. FORBIDDEN: good credentials that may not ask who they are."""

    health: Health
    account_id: str | None = None
    account_name: str | None = None
    reason: str | None = None


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
