"""Refresh connection: renew the credentials by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from application.ports import FlightKind, Health
from application.settle import NO_LONGER_AUTHORIZED, NOT_AUTHORIZED
from domain.connection import ACTIVE, DISCONNECTED, PENDING, AuthKind
from domain.errors import (
    ConcurrentChange,
    CredentialsUnusable,
    GrantNotFound,
    ProviderCallRefused,
    RefreshNotPossible,
    RefreshRefused,
)

if TYPE_CHECKING:
    from application.flights import Flights
    from application.ports import Store
    from application.probe_account import ProbeAccount
    from application.renew_credentials import RenewCredentials
    from domain.connection import Connection


@frozen
class RefreshConnection:
    """Force a refresh, at most one at a time per connection over all processes."""

    _store: Store
    _flights: Flights
    _probe: ProbeAccount
    _renew: RenewCredentials

    async def __call__(self, *, company_id: str, connection_id: str, actor: str) -> Connection:
        """Give the refreshed connection, active.

        Raises:
            ConnectionNotFound: no such connection in this company.
            RefreshNotPossible: pending, disconnected, or an API key.
            ConcurrentChange: an authorization was begun meanwhile.
            RefreshRefused: the status is error, expired or disconnected now, and says why.
            Unavailable, GatewayNonsense: nothing changed.

        """
        connection = await self._store.find(company_id, connection_id)
        if connection.status is DISCONNECTED:
            raise RefreshNotPossible(NO_LONGER_AUTHORIZED)
        if connection.status is PENDING or connection.nango_id is None:
            raise RefreshNotPossible(NOT_AUTHORIZED)
        if connection.auth_kind is AuthKind.API_KEY:
            raise RefreshNotPossible("Connection uses an API key, which has nothing to refresh")
        await self._flights.fly(
            FlightKind.REFRESH, company_id, connection_id, lambda: self._refresh(connection, actor)
        )
        return await self._store.find(company_id, connection_id)

    async def _refresh(self, connection: Connection, actor: str) -> None:
        # A failed forced refresh makes Nango answer 424 to everybody for 30 s: where the provider is in
        # trouble itself, this raises and no refresh is tried.
        word: str | None = None
        trouble: CredentialsUnusable | None = None
        try:
            verdict = await self._probe(connection)
        except CredentialsUnusable as problem:
            trouble = problem
        except (GrantNotFound, ProviderCallRefused):
            pass  # the refresh will tell
        else:
            word = verdict.reason if verdict.health is Health.DEAD else None
        renewed = await self._renew(connection, word=word, trouble=trouble, by=actor)
        if renewed.status is PENDING:
            # The user authorizes it anew by now, and what Nango has renewed is not what will be used.
            raise ConcurrentChange
        if renewed.status is not ACTIVE:
            raise RefreshRefused(renewed.error_message or f"the connection is {renewed.status}")
