"""Look up the provider of a connection that exists. Its description may be gone: connections outlive them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from domain.errors import InvalidInput, ProviderCallImpossible

if TYPE_CHECKING:
    from collections.abc import Callable

    from application.ports import ProviderAdapter, ProviderCatalogue
    from domain.connection import Connection
    from domain.provider import Provider

    Way = TypeVar("Way")

_GONE = "this deployment does not describe {} any more; its operator can put the description back"


def adapter_of(catalogue: ProviderCatalogue, connection: Connection) -> ProviderAdapter:
    """Give the provider of a connection.

    Raises:
        ProviderCallImpossible: it is not described any more; no caller's input is to blame.

    """
    try:
        return catalogue.get(connection.provider)
    except InvalidInput:
        raise ProviderCallImpossible(connection.provider, _GONE.format("the provider")) from None


def way_of(catalogue: ProviderCatalogue, connection: Connection, way: Callable[[Provider], Way]) -> Way:
    """Give how a connection is authorized again: `way` reads it in the description, as `oauth_of` does.

    Raises:
        ProviderCallImpossible: the provider is not described any more, or not this way.

    """
    provider = adapter_of(catalogue, connection).provider
    try:
        return way(provider)
    except InvalidInput:
        reason = _GONE.format("how this connection was authorized")
        raise ProviderCallImpossible(connection.provider, reason) from None
