"""Reauthorize: a new authorization URL for one connection that is not active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from application.authorization_results import AuthorizationStarted
from application.authorization_rules import oauth_of, parameters_for, require_authorizable
from application.described import way_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.ports import ProviderCatalogue, Store
    from application.start_authorization import StartAuthorization
    from domain.redirect import RedirectUrl


@frozen
class ReauthorizeConnection:
    """Authorize a connection again; Nango's id is kept, except after a disconnect."""

    _store: Store
    _catalogue: ProviderCatalogue
    _authorizations: StartAuthorization

    async def __call__(
        self,
        *,
        company_id: str,
        connection_id: str,
        redirect_url: RedirectUrl | None,
        parameters: Mapping[str, str] | None,
        actor: str,
    ) -> AuthorizationStarted:
        """Give the URL to send the user to; parameters not given are those of the last time.

        Raises:
            ConnectionNotFound: no such connection in this company.
            ActiveConnectionExists: it is active; disconnect it first.
            InvalidInput: a parameter is missing, unknown or ill-formed, or it uses an API key.
            ProviderCallImpossible: its provider is not described any more, or not with OAuth.
            TooManyAttempts: too many authorizations are open.

        """
        state = self._authorizations.new_state()
        async with self._store.begin() as tx:
            connection = await tx.connections.get(company_id, connection_id, lock=True)
            require_authorizable(connection)
            oauth = way_of(self._catalogue, connection, oauth_of)
            values = parameters_for(oauth, parameters or {}, connection.parameters)
            attempt = await self._authorizations.intend(tx, connection, oauth, redirect_url, state, values)
        _, url = await self._authorizations.start(attempt, oauth, state=state, by=actor)
        return AuthorizationStarted(
            connection_id=connection_id, provider=connection.provider, url=url, is_new=False
        )
