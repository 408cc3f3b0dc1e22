"""Ask the provider who an account is, and read what it says of the credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from application.described import adapter_of
from application.ports import Health, Verdict, without
from domain.errors import InvalidInput, ProviderCallImpossible

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from application.ports import AuthGateway, GrantDetails, ProviderAdapter, ProviderCatalogue
    from domain.connection import Connection


@frozen
class ProbeAccount:
    """The identity call of the provider's description, through Nango's proxy."""

    _gateway: AuthGateway
    _catalogue: ProviderCatalogue

    async def __call__(
        self,
        connection: Connection,
        details: GrantDetails | None = None,
        *,
        secrets: Collection[str] = (),
    ) -> Verdict:
        """Judge the credentials; `details` is what Nango tells of the connection, if it was just fetched.

        `secrets` are credentials at hand, in case that the provider repeats them.

        A provider without an identity call is taken at Nango's word that the credentials are there.

        Raises:
            ProviderUnavailable, GatewayUnavailable, GatewayNonsense: says nothing of the credentials.
            ProviderCallRefused: Nango is configured not to ask, or we do not know what to ask.
            CredentialsUnusable: Nango has none that it can use.
            GrantNotFound: gone at Nango.

        """
        adapter = adapter_of(self._catalogue, connection)
        if connection.nango_id is None or adapter.provider.identity is None:
            return Verdict(health=Health.FORBIDDEN)
        answer = await self._gateway.call_provider(
            connection.integration,
            connection.nango_id,
            adapter.provider.identity,
            base_url=_base_url(adapter, connection),
        )
        config: Mapping[str, Any] = details.connection_config if details else {}
        return adapter.read(
            # Before anybody reads it: what an adapter says, or trips over, may reach a person or the log.
            evolve(answer, body=without(answer.body, secrets)),
            connection_config={**connection.parameters, **config},
            token=details.token if details else {},
        )


def _base_url(adapter: ProviderAdapter, connection: Connection) -> str | None:
    try:
        return adapter.base_url(connection.parameters)
    except InvalidInput as problem:
        # No caller's input is to blame: it was authorized when the description did not ask for this yet.
        reason = "; ".join(f"{name} {rule}" for name, rule in problem.details)
        raise ProviderCallImpossible(connection.provider, reason) from None
