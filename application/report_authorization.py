"""The reference's callback route: somebody says that an authorization ended. It proves nothing."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from application.authorization_results import AuthorizationResult
from application.single_flight import SingleFlight
from domain.authorization import AttemptMode, safe_error
from domain.connection import ACTIVE, PENDING
from domain.errors import ConnectionNotFound, DomainError, InvalidInput
from domain.events import CALLBACK
from domain.redirect import RedirectUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from application.confirm_attempt import ConfirmAttempt
    from application.ports import Store
    from domain.authorization import Attempt
    from domain.connection import Connection

_LOOKS = 3
_LOOKS_AGAIN_AFTER = 60.0
"""Seconds after its first look until a connection may be looked at as often again."""

_REMEMBERED = 10_000
"""Connections whose looks are counted, at most: anybody may name new ones."""


@frozen
class LookBudget:
    """How often anonymous callers may make us look at Nango: three times a minute per connection."""

    _clock: Callable[[], float] = monotonic
    _spent: dict[str, tuple[float, int]] = field(init=False, factory=dict)

    def spend(self, connection_id: str) -> bool:
        """Take one look, if there is one left."""
        now = self._clock()
        since, looks = self._spent.get(connection_id, (now, 0))
        if now - since >= _LOOKS_AGAIN_AFTER:
            since, looks = now, 0
        if looks >= _LOOKS:
            return False
        if len(self._spent) >= _REMEMBERED and connection_id not in self._spent:
            self._spent.pop(next(iter(self._spent)))
        self._spent[connection_id] = (since, looks + 1)
        return True


@frozen
class ReportAuthorization:
    """Look whether it is true, and choose the answer. `success=false` changes nothing either."""

    _store: Store
    _confirm: ConfirmAttempt
    _redirect_origins: frozenset[str]
    _budget: LookBudget = field(factory=LookBudget)
    _flights: SingleFlight = field(init=False, factory=SingleFlight)

    async def __call__(
        self, *, provider: str, connection_id: str, error: str | None, redirect_url: str | None
    ) -> AuthorizationResult:
        """Give the answer; its redirect_url is one that the user may be sent to.

        Raises:
            ConnectionNotFound: unknown, deleted, or of another provider.

        """
        company_id = await self._store.company_of(connection_id)
        if company_id is None:
            raise ConnectionNotFound
        connection = await self._store.find(company_id, connection_id)
        if connection.provider != provider:
            raise ConnectionNotFound
        async with self._store.begin() as tx:
            attempts, now = await tx.attempts.of(company_id, connection_id), tx.now
        if connection.status is not ACTIVE:
            connection = await self._look(connection, attempts)
        return AuthorizationResult(
            connection_id=connection_id,
            provider=provider,
            outcome=_outcome(connection, error),
            error=None if connection.status is ACTIVE else safe_error(error),
            redirect_url=self._target(attempts, redirect_url),
            late=not any(attempt.worth_waiting_for(now) for attempt in attempts),
        )

    async def _look(self, connection: Connection, attempts: Sequence[Attempt]) -> Connection:
        # What comes back through our relay needs no look: the relay itself finds out.
        unseen = [
            attempt
            for attempt in attempts
            if attempt.closed_at is None and attempt.mode in (AttemptMode.SESSION, AttemptMode.DIRECT)
        ]
        if not unseen:
            return connection

        async def look() -> None:
            if not self._budget.spend(connection.id):
                return
            await self._confirm.any_of(unseen, by=CALLBACK)

        try:
            await self._flights.join(connection.id, look)
        except DomainError:
            return connection  # Nango is silent: the worker asks again
        return await self._store.find(connection.company_id, connection.id)

    def _target(self, attempts: Sequence[Attempt], asked: str | None) -> RedirectUrl | None:
        named = [attempt.redirect_url for attempt in attempts if attempt.redirect_url is not None]
        if asked is not None:
            try:
                wanted = RedirectUrl.parse(asked)
            except InvalidInput:
                pass
            else:
                if wanted in named or wanted.origin in self._redirect_origins:
                    return wanted
        # The newest is the one that ended; one that never began (no mode) has sent nobody anywhere.
        begun = [attempt.redirect_url for attempt in attempts if attempt.mode is not None]
        return begun[-1] if begun else None


def _outcome(connection: Connection, error: str | None) -> Literal["succeeded", "failed", "pending"]:
    if connection.status is ACTIVE:
        return "succeeded"
    return "pending" if error is None and connection.status is PENDING else "failed"
