"""The providers that this deployment knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from application.ports import ProviderAdapter, ProviderCatalogue
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.provider import Provider


@frozen
class Catalogue(ProviderCatalogue):
    """Provider adapters by key, fixed from the start on."""

    _adapters: Mapping[str, ProviderAdapter]

    def get(self, key: str) -> ProviderAdapter:
        """Give a provider.

        Raises:
            InvalidInput: no such provider; names those there are.

        """
        try:
            return self._adapters[key]
        except KeyError:
            known = ", ".join(sorted(self._adapters))
            raise InvalidInput(("provider", f"{key[:50]!r} is not a provider; one of {known}")) from None

    def all(self) -> Sequence[Provider]:
        """Give every description, by key."""
        return [self._adapters[key].provider for key in sorted(self._adapters)]
