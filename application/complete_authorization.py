"""The relay: the provider sends the browser to us, we hand its callback to Nango and see what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum, auto
from typing import TYPE_CHECKING

import attrs
from attrs import field, frozen

from application.authorization_results import AuthorizationResult
from application.authorization_state import hash_state
from application.confirm_attempt import abandon
from application.single_flight import SingleFlight
from domain.authorization import LOOKUP_DELAY, RELAY_DEADLINE, Attempt, Outcome
from domain.connection import DISCONNECTED, ERROR, EXPIRED
from domain.errors import (
    AuthorizationNotFound,
    DomainError,
    GatewayNonsense,
    GatewayTimeout,
    GatewayUnavailable,
)
from domain.events import CALLBACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from application.confirm_attempt import ConfirmAttempt
    from application.ports import AuthGateway, Store, Transaction
    from domain.connection import Connection

    Query = Sequence[tuple[str, str]]

_LOOK_AGAIN = 0.1
"""Seconds between looks at whether a sibling's relay, perhaps another process's, has ended."""

_BROWSER_WAITS = RELAY_DEADLINE.total_seconds() + 0.5
"""Seconds until a browser gets the page that waits: the relay's, and half a second to confirm its outcome."""


class _Relayed(Enum):
    """What became of a callback: Nango answered it, would not take it, or nobody knows."""

    ANSWERED = auto()
    REFUSED = auto()
    UNKNOWN = auto()


@frozen
class CompleteAuthorization:
    """Complete the attempt whose own state came back.

    Nango takes a state once. The same state again waits for the first outcome, and gets the same answer; only
    a callback that Nango has plainly not taken is handed over again.
    """

    _store: Store
    _gateway: AuthGateway
    _confirm: ConfirmAttempt
    _flights: SingleFlight = field(init=False, factory=SingleFlight)

    async def __call__(self, *, state: str, query: Query) -> AuthorizationResult:
        """Give the outcome; pending where Nango has not answered in time and the worker will find out.

        Raises:
            AuthorizationNotFound: the state is none of ours, or forgotten after 24 hours.

        """
        async with self._store.begin() as tx:
            attempt, now = await tx.attempts.by_state(hash_state(state)), tx.now
        if attempt is None:
            raise AuthorizationNotFound
        if attempt.closed_at is not None:
            return result_of(attempt)
        result = await self._flights.join(attempt.id, lambda: self._complete(attempt, query))
        # One that was not claimed before is never late: its browser has just come back, or it brings again a
        # callback that Nango did not take, as it may until the attempt expires.
        late = attempt.claimed_at is not None and not attempt.worth_waiting_for(now)
        return attrs.evolve(result, late=late)

    async def _complete(self, attempt: Attempt, query: Query) -> AuthorizationResult:
        try:
            async with asyncio.timeout(RELAY_DEADLINE.total_seconds()):
                while (claimed := await self._claim(attempt)) is None:  # noqa: ASYNC110 - may be another process
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError:
            return result_of(attempt)
        if claimed.closed_at is None:
            claimed = await self._relay(claimed, query)
        return result_of(claimed)

    async def _claim(self, attempt: Attempt) -> Attempt | None:
        """Claim the attempt for this callback, and give it; if it has ended, give it as it is.

        None says that it, or another attempt of the connection, is being relayed at this moment.
        """
        async with self._store.begin() as tx:
            # The row lock makes siblings queue here; nothing remote is called while it is held.
            connection = await tx.connections.get(
                attempt.company_id, attempt.connection_id, lock=True, deleted=True
            )
            attempts = await tx.attempts.of(attempt.company_id, attempt.connection_id)
            mine = next((other for other in attempts if other.id == attempt.id), None)
            if mine is None:
                raise AuthorizationNotFound  # ended and forgotten since it was read
            if mine.closed_at is not None:
                return mine
            if any(other.holds(tx.now) for other in attempts):
                return None
            claimed = await tx.attempts.claim(attempt.id, at=tx.now, check_at=tx.now + LOOKUP_DELAY)
            if claimed is None:
                return await self._too_late(tx, connection, mine)
            await self._reopen(tx, connection)
            return claimed

    async def _too_late(self, tx: Transaction, connection: Connection, attempt: Attempt) -> Attempt | None:
        if attempt.claimed_at is not None:
            return None  # claimed long ago, still without an outcome: the worker is at it
        await abandon(tx, connection, attempt, by=CALLBACK)
        return await tx.attempts.get(attempt.id)

    async def _reopen(self, tx: Transaction, connection: Connection) -> None:
        """Make the connection pending if it is not: a sibling of this attempt may have failed meanwhile.

        That took the connection back to its status before, while this attempt is still open and may complete.
        """
        if connection.status in (DISCONNECTED, ERROR, EXPIRED):
            await tx.connections.save(connection.reopen(at=tx.now, by=CALLBACK))

    async def _relay(self, attempt: Attempt, query: Query) -> Attempt:
        error = next((value for name, value in query if name == "error"), None)
        relayed, answered, settled = _Relayed.UNKNOWN, False, False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BROWSER_WAITS):
                relayed = await self._hand_over(attempt, query)
                with contextlib.suppress(DomainError):
                    settled = await self._confirm(attempt, by=CALLBACK)
                    answered = relayed is _Relayed.ANSWERED
        if not settled and (answered or error):
            # Nango has spoken and has nothing under the attempt's tag, or the provider itself said no.
            await self._confirm.fail(attempt, error, by=CALLBACK)
        async with self._store.begin() as tx:
            if not settled and not error and relayed is _Relayed.REFUSED:
                # Nango never took the callback: the page that waits comes back with it.
                await tx.attempts.release(attempt.id, check_at=attempt.expires_at)
            return await tx.attempts.get(attempt.id) or attempt

    async def _hand_over(self, attempt: Attempt, query: Query) -> _Relayed:
        """Give Nango its own state and cookie back.

        Where Nango has not taken the callback, it is handed over again. That is safe, since only the tags of
        what is then at Nango prove success.
        """
        restored = [(name, attempt.nango_state or "" if name == "state" else value) for name, value in query]
        for pause in (0.3, 1.0, None):
            try:
                await self._gateway.relay_callback(restored, attempt.nango_cookie or "")
            except (GatewayTimeout, GatewayNonsense):
                return _Relayed.UNKNOWN
            except GatewayUnavailable:
                if pause is None:
                    break
                await asyncio.sleep(pause)
            else:
                return _Relayed.ANSWERED
        return _Relayed.REFUSED


def result_of(attempt: Attempt) -> AuthorizationResult:
    """Read the answer off an attempt."""
    if attempt.outcome is None:
        return AuthorizationResult(
            connection_id=attempt.connection_id,
            provider=attempt.provider,
            outcome="pending",
            redirect_url=attempt.redirect_url,
        )
    succeeded = attempt.outcome is Outcome.SUCCEEDED
    return AuthorizationResult(
        connection_id=attempt.connection_id,
        provider=attempt.provider,
        outcome="succeeded" if succeeded else "failed",
        error=None if succeeded else attempt.error or "unknown_error",
        redirect_url=attempt.redirect_url,
    )
