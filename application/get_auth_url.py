"""Get auth URL: the reference's way to connect a provider, or to connect it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from application.authorization_results import AuthorizationStarted
from application.authorization_rules import oauth_of, parameters_for
from application.single_flight import SingleFlight
from domain.connection import ACTIVE, AuthKind, Connection, Origin
from domain.errors import ActiveConnectionExists, ConcurrentChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.ports import Ids, ProviderCatalogue, Store, Transaction
    from application.start_authorization import StartAuthorization
    from domain.authorization import Attempt
    from domain.provider import OAuth, Provider
    from domain.redirect import RedirectUrl

_TRIES = 5
"""A try fails if another call has just made the connection; the next one finds it, unless it is gone."""


@frozen
class GetAuthUrl:
    """Address the company's OAuth connection for a provider; concurrent equal calls share one flow.

    An active one blocks; else a pending one is used again, else the most recently updated of the others
    is authorized again, else a new one begins.
    """

    _store: Store
    _catalogue: ProviderCatalogue
    _ids: Ids
    _authorizations: StartAuthorization
    _flights: SingleFlight = field(init=False, factory=SingleFlight)

    async def __call__(
        self,
        *,
        company_id: str,
        provider: str,
        redirect_url: RedirectUrl | None,
        name: str | None,
        parameters: Mapping[str, str],
        actor: str,
    ) -> AuthorizationStarted:
        """Give the URL to send the user to.

        Raises:
            InvalidInput: unknown provider, or a parameter is missing, unknown or ill-formed.
            ActiveConnectionExists: the company has an active connection for the provider.
            TooManyAttempts: too many authorizations are open.

        """
        description = self._catalogue.get(provider).provider
        oauth = oauth_of(description)
        key = (company_id, provider, redirect_url, name, frozenset(parameters.items()))
        return await self._flights.join(
            key, lambda: self._start(company_id, description, oauth, redirect_url, name, parameters, actor)
        )

    async def _start(
        self,
        company_id: str,
        provider: Provider,
        oauth: OAuth,
        redirect_url: RedirectUrl | None,
        name: str | None,
        given: Mapping[str, str],
        actor: str,
    ) -> AuthorizationStarted:
        state = self._authorizations.new_state()
        async with self._store.begin() as tx:
            connection, is_new = await self._address(tx, company_id, provider, oauth, name, given, actor)
            parameters = parameters_for(oauth, given, connection.parameters)
            attempt: Attempt = await self._authorizations.intend(
                tx, connection, oauth, redirect_url, state, parameters
            )
        _, url = await self._authorizations.start(
            attempt, oauth, state=state, by=actor, name=name, is_new=is_new
        )
        return AuthorizationStarted(
            connection_id=connection.id, provider=provider.key, url=url, is_new=is_new
        )

    async def _address(
        self,
        tx: Transaction,
        company_id: str,
        provider: Provider,
        oauth: OAuth,
        name: str | None,
        given: Mapping[str, str],
        actor: str,
    ) -> tuple[Connection, bool]:
        for _ in range(_TRIES):
            connection = await tx.connections.find_for_auth_url(company_id, provider.key)
            if connection is not None:
                if connection.status is ACTIVE:
                    raise ActiveConnectionExists(provider.key)
                return connection, False
            begun = Connection.begin(
                id=self._ids.connection_id(),
                company_id=company_id,
                provider=provider.key,
                name=name or provider.name,
                auth_kind=AuthKind.OAUTH,
                origin=Origin.AUTH_URL,
                integration=oauth.integration,
                parameters=parameters_for(oauth, given, {}),
                metadata={},
                at=tx.now,
                by=actor,
            )
            # Two hundred calls at once meet in the unique index here, not in a lock held over Nango.
            if await tx.connections.save(begun):
                return begun.after, True
        raise ConcurrentChange
