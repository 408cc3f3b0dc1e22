"""List providers: what can be connected, and what each needs to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from application.ports import ProviderCatalogue
    from domain.provider import Provider


@frozen
class ListProviders:
    """Read the catalogue."""

    _catalogue: ProviderCatalogue

    def __call__(self) -> Sequence[Provider]:
        """Give every provider, by key."""
        return self._catalogue.all()
