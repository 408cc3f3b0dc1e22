"""Connect session: for front ends that run Nango's own SDK instead of following our URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from application.authorization_rules import oauth_of, parameters_for, require_authorizable
from application.described import way_of

if TYPE_CHECKING:
    from application.ports import ProviderCatalogue, Session, Store
    from application.start_authorization import StartAuthorization
    from domain.redirect import RedirectUrl


@frozen
class OpenConnectSession:
    """Open a Nango session that carries our tags, as an attempt like any other."""

    _store: Store
    _catalogue: ProviderCatalogue
    _authorizations: StartAuthorization

    async def __call__(
        self, *, company_id: str, connection_id: str, redirect_url: RedirectUrl | None, actor: str
    ) -> Session:
        """Give the session; the reference's callback route, Nango's webhook or the poll completes it.

        Raises:
            ConnectionNotFound: no such connection in this company.
            ActiveConnectionExists: it is active; disconnect it first.
            InvalidInput: it uses an API key.
            ProviderCallImpossible: its provider is not described any more, or not with OAuth.
            TooManyAttempts: too many authorizations are open.

        """
        # Nobody will come back with this state: Nango's SDK keeps its own.
        state = self._authorizations.new_state()
        async with self._store.begin() as tx:
            connection = await tx.connections.get(company_id, connection_id, lock=True)
            require_authorizable(connection)
            oauth = way_of(self._catalogue, connection, oauth_of)
            values = parameters_for(oauth, {}, connection.parameters)
            attempt = await self._authorizations.intend(tx, connection, oauth, redirect_url, state, values)
        return await self._authorizations.start_session(attempt, oauth, by=actor)
