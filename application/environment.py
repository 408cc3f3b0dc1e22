"""Whether the Nango environment that our key opens is the one in which our connections are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from domain.errors import GatewayUnavailable

if TYPE_CHECKING:
    from application.ports import AuthGateway, Store


@define
class Environment:
    """Known to be ours once this process has seen a grant with our deployment tag, with the key it has."""

    _store: Store
    _gateway: AuthGateway
    _ours: bool = False

    def recognise(self) -> None:
        """Note that such a grant was seen."""
        self._ours = True

    async def insist(self) -> None:
        """Pass where the environment is known to be ours.

        Raises:
            GatewayUnavailable: nothing there is ours, which is suspicious and proves nothing.

        """
        if not self._ours:
            self._ours = bool(await self._gateway.find_grants({"deployment": await self._store.deployment()}))
        if not self._ours:
            raise GatewayUnavailable(
                "Nango shows none of this deployment's connections: is the key one of another environment?",
                retry_after=60,
            )
