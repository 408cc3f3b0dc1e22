"""Look at active connections from time to time, without being asked."""

from __future__ import annotations

from datetime import timedelta
from random import uniform
from typing import TYPE_CHECKING

from attrs import frozen

from application.owed import owe_a_look
from application.ports import HEARTBEAT

if TYPE_CHECKING:
    from application.ports import Ids, Store

_ROUNDS = 10
"""Rounds per interval: no connection waits longer than a tenth of it beyond its time."""

_COMPANIES = 1000
"""Companies that a round walks through at most: far more than there may be looks, and still a quick read."""

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(seconds=60)


@frozen
class ScheduleChecks:
    """Owes a look to each connection that was last seen to work more than `interval` ago.

    A look costs Nango two or three calls, of which it allows 200 a minute: `per_minute` is the budget of all
    companies together, and no company takes more than a third of it.
    """

    _store: Store
    _ids: Ids
    _interval: timedelta
    _per_minute: int

    async def __call__(self) -> int:
        """Do a round, if it is time for one; give how many looks were scheduled."""
        # No round is so short that its share of the budget would be less than one look.
        every = max(min(self._interval / _ROUNDS, _LONGEST), _SHORTEST, _LONGEST / self._per_minute)
        # The turn is taken even if checks are switched off: it is how others see that a worker runs.
        turn = await self._store.take_turn(HEARTBEAT, every=every if self._interval else _LONGEST)
        if not turn or not self._interval:
            return 0
        budget = max(1, int(self._per_minute * (every / _LONGEST)))
        stale = await self._store.stale(
            self._interval,
            turn=HEARTBEAT,
            companies=_COMPANIES,
            limit=budget,
            per_company=max(1, budget // 3),
        )
        for connection in stale:
            async with self._store.begin() as tx:
                # Spread over the round, or what was connected together would be looked at together for ever.
                delay = every * uniform(0, 0.9)  # noqa: S311 - nothing that anybody might want to guess
                await owe_a_look(tx, connection, self._ids, delay=delay)
        return len(stale)
