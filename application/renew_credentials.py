"""Have Nango renew a connection's credentials, and decide what its answer means for the status."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from application.owed import owe_a_look
from application.ports import Health, Verdict
from application.settle import REFUSED, gone, identified, settle
from domain.errors import CredentialsUnusable, GrantNotFound, InvalidInput, ProviderCallRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from application.environment import Environment
    from application.ports import AuthGateway, GrantDetails, Ids, ProviderCatalogue, Store
    from application.probe_account import ProbeAccount
    from domain.connection import Connection
    from domain.history import Change
    from domain.provider import OAuth

BACK_OFF = timedelta(seconds=35)
"""Nango answers 424 to everybody for 30 s after a failed forced refresh; look again after that."""

OUTLIVED = "The refresh token has reached the end of its life. Authorize again."
NO_REFRESH_TOKEN = "The access token has expired and the provider gave no refresh token. Authorize again."  # noqa: S105 - a sentence


@frozen
class RenewCredentials:
    """Forces a refresh at Nango, decides which status that leads to, and writes it down.

    - Nango does not have the connection: disconnected.
    - Nango cannot renew, and has given up for good: expired.
    - Nango cannot renew otherwise: error; expired where the provider's refresh token is past its known life.
    - Nango says that it has renewed, but the token's time is over: expired. Nango says so where there is no
      refresh token, too, and gives the old token again.
    - Nango says that it has renewed, and the provider refuses the new token: error.
    - Otherwise: active. A provider that cannot be asked is no reason to doubt Nango's word.

    An error may be an outage at the provider that looked like a refusal to Nango. So the worker looks once
    more when Nango's back-off is over.
    """

    _store: Store
    _gateway: AuthGateway
    _catalogue: ProviderCatalogue
    _ids: Ids
    _probe: ProbeAccount
    _environment: Environment

    async def __call__(
        self,
        connection: Connection,
        *,
        word: str | None = None,
        trouble: CredentialsUnusable | None = None,
        by: str,
        recheck: bool = True,
        fresh: timedelta | None = None,
    ) -> Connection:
        """Renew, and give the connection as it is then: active, error, expired or disconnected.

        Args:
            connection: has been authorized, by OAuth.
            word: why the provider has just refused the old credentials, if it was asked. As the reason of an
                error it says more than Nango's general sentence.
            trouble: why Nango could not use the old credentials, if it could not. It tells only then, and not
                when a refresh is forced, that it has given up for good.
            by: who asked.
            recheck: False where this is itself the second look after a refusal: it shall not lead to a third.
            fresh: as in `settle`; given where nobody asked for this.

        Raises:
            ProviderUnavailable, GatewayUnavailable, GatewayNonsense: nothing is known, nothing changed.

        """
        assert connection.nango_id is not None  # noqa: S101 - callers check the status
        try:
            details = await self._gateway.fetch(connection.integration, connection.nango_id, refresh=True)
        except GrantNotFound:
            await self._environment.believe_absence()
            return await settle(self._store, connection, gone(by=by))
        except CredentialsUnusable as problem:
            final = trouble if trouble is not None and trouble.exhausted else problem
            return await self._refused(connection, final, word, by=by, recheck=recheck, fresh=fresh)
        if details.expires_at is not None:
            # Nango answers 200 with the old token where there is no refresh token.
            expired = details.expires_at <= await self._store.now()
            if expired:
                return await settle(self._store, connection, _expire(NO_REFRESH_TOKEN, by=by), fresh=fresh)
        return await self._judge(connection, details, by=by, recheck=recheck, fresh=fresh)

    async def _judge(
        self,
        connection: Connection,
        details: GrantDetails,
        *,
        by: str,
        recheck: bool,
        fresh: timedelta | None,
    ) -> Connection:
        try:
            verdict = await self._probe(connection, details)
        except CredentialsUnusable as problem:
            return await self._refused(connection, problem, None, by=by, recheck=recheck, fresh=fresh)
        except ProviderCallRefused:
            # As with a provider that has no identity call: Nango's word that it renewed them is all there is.
            verdict = Verdict(health=Health.FORBIDDEN)
        except GrantNotFound:
            assert connection.nango_id is not None  # noqa: S101 - it was fetched by this
            await self._environment.prove_absence(connection.integration, connection.nango_id)
            return await settle(self._store, connection, gone(by=by))
        if verdict.health is Health.DEAD:
            return await settle(self._store, connection, _fail(verdict.reason or REFUSED, by=by), fresh=fresh)
        return await settle(
            self._store,
            connection,
            lambda seen, at: seen.refresh(at=at, by=by),
            identified(verdict, by=by),
        )

    async def _refused(
        self,
        connection: Connection,
        problem: CredentialsUnusable,
        word: str | None,
        *,
        by: str,
        recheck: bool,
        fresh: timedelta | None,
    ) -> Connection:
        if problem.exhausted:
            given_up = _expire(f"{problem} Authorize again.", by=by)
            return await settle(self._store, connection, given_up, fresh=fresh)
        oauth = self._oauth_of(connection)

        def refused(seen: Connection, at: datetime) -> Change:
            if oauth is not None and oauth.outlived(seen.authorized_at, at):
                return seen.expire(reason=OUTLIVED, at=at, by=by)
            return seen.fail_refresh(reason=word or str(problem), at=at, by=by)

        settled = await settle(self._store, connection, refused, fresh=fresh)
        if recheck:
            async with self._store.begin() as tx:
                await owe_a_look(tx, settled, self._ids, delay=BACK_OFF)
        return settled

    def _oauth_of(self, connection: Connection) -> OAuth | None:
        try:
            return self._catalogue.get(connection.provider).provider.oauth
        except InvalidInput:
            return None  # not described any more, which is no reason to forget what Nango said


def _expire(reason: str, *, by: str) -> Callable[[Connection, datetime], Change]:
    return lambda connection, at: connection.expire(reason=reason, at=at, by=by)


def _fail(reason: str, *, by: str) -> Callable[[Connection, datetime], Change]:
    return lambda connection, at: connection.fail_refresh(reason=reason, at=at, by=by)
