"""Put an API key into Nango under an id of ours, and believe it only when the provider does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from application.ports import Health
from application.settle import REFUSED
from domain.errors import CredentialsRefused, DomainError, GatewayTimeout, GrantNotFound, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from application.ports import AuthGateway, Store, Verdict
    from application.probe_account import ProbeAccount
    from domain.connection import Connection
    from domain.provider import ApiKey, Provider


def api_key_of(provider: Provider) -> ApiKey:
    """Give how a provider takes a key.

    Raises:
        InvalidInput: it takes none.

    """
    if provider.api_key is None:
        raise InvalidInput(
            ("credentials", f"must be left out: {provider.key} takes no API keys; connect it by OAuth")
        )
    return provider.api_key


def may_be_under_way(problem: BaseException) -> bool:
    """Whether Nango may still carry out an import that ended with this problem for us.

    It may if no answer came, or if we stopped waiting. Then it has to be removed once more, later.
    """
    return isinstance(problem, GatewayTimeout) or not isinstance(problem, DomainError)


@frozen
class ImportCredentials:
    """Import and probe. The caller has written an intent before, so that a crash leaves nothing behind."""

    _store: Store
    _gateway: AuthGateway
    _probe: ProbeAccount

    async def __call__(
        self,
        connection: Connection,
        nango_id: str,
        api_key: ApiKey,
        credentials: Mapping[str, str],
        *,
        secrets: Collection[str],
    ) -> Verdict:
        """Give what the provider says of the key, which is good.

        `credentials` are Nango's, filled already; they are passed on and forgotten. `secrets` are what
        nobody may read who is told what the provider says of them.

        Raises:
            CredentialsRefused: the provider does not accept the key.
            Unavailable, GatewayNonsense: it could not be tried.

        """
        await self._gateway.import_credentials(
            integration=api_key.integration,
            nango_id=nango_id,
            kind=api_key.type,
            credentials=credentials,
            connection_config=connection.parameters,
            tags={
                "connection": connection.id,
                "company": connection.company_id,
                "deployment": await self._store.deployment(),
            },
        )
        imported = attrs.evolve(connection, nango_id=nango_id, integration=api_key.integration)
        return await self._try(imported, secrets)

    async def look(self, imported: Connection) -> Verdict:
        """Ask about a key of which nobody knows whether Nango has it.

        Raises:
            GrantNotFound: Nango does not have it.
            CredentialsRefused: the provider does not accept the key.
            Unavailable, GatewayNonsense: it could not be found out.

        """
        assert imported.nango_id is not None  # noqa: S101 - it is the one that was asked for
        # Not every provider has an identity call that would tell.
        if not await self._gateway.has_grant(imported.integration, imported.nango_id):
            raise GrantNotFound
        return await self._try(imported)

    async def _try(self, imported: Connection, secrets: Collection[str] = ()) -> Verdict:
        verdict = await self._probe(imported, secrets=secrets)
        if verdict.health is Health.DEAD:
            raise CredentialsRefused(verdict.reason or REFUSED)
        return verdict
