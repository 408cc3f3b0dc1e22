"""Whether the Nango environment that our key opens is the one in which our connections are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from domain.errors import GatewayUnavailable

if TYPE_CHECKING:
    from application.ports import AuthGateway, Store


@define
class Environment:
    """Known to be ours once this process has seen a grant of ours there, with the key it has.

    A key of another environment answers 404 for everything (docs/adr/0005-absence-needs-proof.md).
    """

    _store: Store
    _gateway: AuthGateway
    _ours: bool = False

    def recognise(self) -> None:
        """Note that a grant of ours was seen."""
        self._ours = True

    async def believe_absence(self, *, cautious: bool = False) -> None:
        """Return if a grant that Nango does not have may be believed to be gone.

        It may if Nango has anything else of ours. Where it has nothing, the grant may still be believed to be
        gone if it was the deployment's only one and a caller asked for this look. `cautious`: nobody asked.

        Raises:
            GatewayUnavailable: nothing of ours is there, which is suspicious and proves nothing.

        """
        if not self._ours:
            self._ours = await self._gateway.any_grant({"deployment": await self._store.deployment()})
        if self._ours:
            return
        if cautious or len(await self._store.authorized(after=None, limit=2)) > 1:
            raise GatewayUnavailable(
                "Nango shows none of this deployment's connections: is the key one of another environment?",
                retry_after=60,
            )

    async def prove_absence(self, integration: str, nango_id: str) -> None:
        """Return if Nango's list and its 404 also say that a grant is gone.

        The first sign was an answer of Nango's proxy, "Failed to get connection". Its code is a general one
        (`server_error`), which proves too little by itself.

        Raises:
            GatewayUnavailable: the grant is there, so the trouble is another.

        """
        if await self._gateway.has_grant(integration, nango_id):
            raise GatewayUnavailable("Nango has the connection and could not use it. Try again.")
