"""Verify connection: whether it still exists at Nango and the provider accepts the credentials."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from application.ports import FlightKind
from application.settle import NO_LONGER_AUTHORIZED, NOT_AUTHORIZED, found, gone, identified, settle
from domain.connection import ACTIVE, DISCONNECTED, PENDING, AuthKind
from domain.errors import CredentialsUnusable, GrantNotFound

if TYPE_CHECKING:
    from datetime import datetime

    from application.environment import Environment
    from application.flights import Flights
    from application.ports import AuthGateway, Store
    from application.probe_account import ProbeAccount
    from application.renew_credentials import RenewCredentials
    from domain.connection import Connection

_A_DAY = timedelta(days=1)


@frozen(kw_only=True)
class Verification:
    """What a look at the connection found; `error` says why it is not healthy."""

    connection: Connection
    healthy: bool
    error: str | None
    checked_at: datetime


@frozen
class CheckHealth:
    """Looks whether a connection still works, decides which status that means, and writes it down.

    - Nango does not have it, and other connections of ours are there: disconnected. Where Nango has nothing
      of ours, the key may be one of another environment: nothing changes, mostly (see `Environment`).
    - The provider, asked who the account is, accepts the credentials, or only forbids that question: active.
    - The provider refuses them: error; an expired connection stays expired.
    - Nango has credentials that it cannot use: that says nothing about the provider, so a refresh is forced
      and decides (see `RenewCredentials`). An API key cannot be renewed: nothing changes.
    - Nango or the provider is in trouble: nothing changes.

    Both a caller who verifies and the worker come here.
    """

    _store: Store
    _gateway: AuthGateway
    _probe: ProbeAccount
    _renew: RenewCredentials
    _environment: Environment
    _interval: timedelta

    async def __call__(
        self, connection: Connection, *, by: str, recheck: bool = True, cautious: bool = False
    ) -> Connection:
        """Look, and give the connection as it is then.

        Args:
            connection: active, error or expired; one without a grant at Nango is given back as it is.
            by: who asked.
            recheck: False where a refusal shall not lead to another look; see `RenewCredentials`.
            cautious: True where nobody asked for this look. Then an absence needs more proof, and only what
                is new is written: that the credentials still work, no more often than the schedule looks.

        Raises:
            Unavailable, GatewayNonsense: nothing is known, nothing changed.

        """
        if connection.nango_id is None:
            return connection
        fresh = (self._interval or _A_DAY) if cautious else None
        if not await self._gateway.has_grant(connection.integration, connection.nango_id):
            await self._environment.believe_absence(cautious=cautious)
            return await settle(self._store, connection, gone(by=by))
        self._environment.recognise()
        try:
            verdict = await self._probe(connection)
        except GrantNotFound:
            await self._environment.prove_absence(connection.integration, connection.nango_id)
            return await settle(self._store, connection, gone(by=by))
        except CredentialsUnusable as trouble:
            if connection.auth_kind is AuthKind.API_KEY:
                raise
            # Nango's own trouble with the credentials says nothing about the provider: decide as a refresh.
            return await self._renew(connection, trouble=trouble, by=by, recheck=recheck, fresh=fresh)
        return await settle(
            self._store,
            connection,
            found(verdict, seen=connection, by=by),
            identified(verdict, by=by),
            fresh=fresh,
        )


@frozen
class VerifyConnection:
    """Look at one connection, at most once at a time over all processes."""

    _store: Store
    _flights: Flights
    _check: CheckHealth

    async def __call__(self, *, company_id: str, connection_id: str, actor: str) -> Verification:
        """Give what was found; pending and disconnected connections are not healthy, and not looked at.

        Raises:
            ConnectionNotFound: no such connection in this company.
            Unavailable, GatewayNonsense: nothing is known, nothing changed.

        """
        connection = await self._store.find(company_id, connection_id)
        if connection.status not in (PENDING, DISCONNECTED):

            async def look() -> None:
                await self._check(connection, by=actor)

            await self._flights.fly(FlightKind.VERIFY, company_id, connection_id, look)
            connection = await self._store.find(company_id, connection_id)
        return Verification(
            connection=connection,
            healthy=connection.status is ACTIVE,
            error=_error(connection),
            checked_at=await self._store.now(),
        )


def _error(connection: Connection) -> str | None:
    if connection.status is PENDING:
        return NOT_AUTHORIZED
    if connection.status is DISCONNECTED:
        return connection.error_message or NO_LONGER_AUTHORIZED
    return connection.error_message
