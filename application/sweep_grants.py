"""Compare what Nango has with what we have, without asking any provider."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from attrs import define, field

from application.owed import owe_a_look
from application.remove_grants import is_over
from domain.connection import ACTIVE
from domain.errors import ConnectionNotFound, DomainError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from application.environment import Environment
    from application.ports import AuthGateway, Ids, Store
    from domain.authorization import Grant
    from domain.connection import Connection

    Key = tuple[str, str]

_AT_ONCE = timedelta(0)
_PAGE = 1000
"""Connections that Nango lists on a full page, and that we read of our own at a time."""

_SUSPICIOUS_SHARE = 0.05
"""If more than this share is missing at Nango, the key or Nango is wrong: docs/adr/0005."""

_PACE = timedelta(seconds=3)
"""All processes together ask for one page in this time: a tenth of Nango's 200 calls a minute."""

_REST = 1.2
"""The next walk begins after the interval or, if that is longer, this many times what the last one took."""

_SILENCE = 1.5
"""A process that did not get the turn asks again after this many times the time between two walks."""

_RECENT = 3.0
"""What a walk has missed is forgotten after this many times the time between two walks."""

_log = structlog.get_logger()


@define
class SweepGrants:
    """A walk through Nango's list, which costs no provider traffic.

    It changes no connection: an error that Nango noted (outages cause them, too) and an absence in two full
    walks are only reasons to look. An empty list, or more than 5 % missing where that is more than one, is a
    key of the wrong environment rather than the truth. What our tags and our database prove to be over is
    removed; the rest is reported by `connections doctor`.
    """

    _store: Store
    _gateway: AuthGateway
    _ids: Ids
    _environment: Environment
    _interval: timedelta
    _troubled: frozenset[Key] = field(init=False, default=frozenset())
    _missed: frozenset[str] = field(init=False, default=frozenset())
    _took: float = field(init=False, default=0.0)
    _walked_at: float = field(init=False, default=float("-inf"))
    _turn_at: float = field(init=False, default=float("-inf"))
    _ask_at: float = field(init=False, default=float("-inf"))

    async def __call__(self) -> None:
        """Walk, if it is time to and no other process does.

        Two walks are compared, and each process remembers only its own. So the process that walked last asks
        for the next turn at each round, and the others only now and then.
        """
        clock = asyncio.get_running_loop().time
        now = clock()
        if not self._interval or now < self._ask_at:
            return
        every = max(self._interval.total_seconds(), self._took * _REST)
        if await self._store.take_turn("sweep grants", every=timedelta(seconds=every)):
            self._turn_at = now
            if now - self._walked_at > every * _RECENT:
                self._troubled, self._missed = frozenset(), frozenset()
            await self._walk()
            self._walked_at, self._took = now, clock() - now
        elif now - self._turn_at >= every * _SILENCE:
            self._ask_at = now + every * _SILENCE

    async def _walk(self) -> None:
        seen: set[Key] = set()
        troubled: set[Key] = set()
        over: list[Grant] = []
        async for grants in self._gateway.grants():
            ours = {
                (connection.integration, connection.nango_id): connection
                for connection in await self._store.of_grants(
                    [(grant.integration, grant.nango_id) for grant in grants]
                )
            }
            for grant in grants:
                key = (grant.integration, grant.nango_id)
                seen.add(key)
                connection = ours.get(key)
                if connection is None:
                    if await self._is_over(grant):
                        over.append(grant)
                elif grant.auth_error:
                    troubled.add(key)
                    if key not in self._troubled and connection.status is ACTIVE:
                        await self._owe(connection)
            if len(grants) >= _PAGE:
                await self._pace()
        self._troubled = frozenset(troubled)
        await self._consider_absent(seen)
        await self._remove(over)

    async def _pace(self) -> None:
        while not await self._store.take_turn("sweep page", every=_PACE):  # noqa: ASYNC110 - across processes
            await asyncio.sleep(1)

    async def _consider_absent(self, seen: set[Key]) -> None:
        known = 0
        absent: list[Connection] = []
        after: str | None = None
        while connections := await self._store.authorized(after=after, limit=_PAGE):
            after = connections[-1].id
            known += len(connections)
            absent += [
                connection
                for connection in connections
                if (connection.integration, connection.nango_id) not in seen
            ]
        if known > len(absent):
            self._environment.recognise()
        if absent and (not seen or len(absent) > max(1, known * _SUSPICIOUS_SHARE)):
            _log.error(
                "many connections are missing at Nango: nothing is done", missing=len(absent), known=known
            )
            return
        twice = [connection for connection in absent if connection.id in self._missed]
        self._missed = frozenset(connection.id for connection in absent)
        for connection in twice:
            await self._owe(connection)

    async def _is_over(self, grant: Grant) -> bool:
        if grant.tags.get("deployment") != await self._store.deployment():
            return False
        company_id, connection_id = grant.tags.get("company", ""), grant.tags.get("connection", "")
        async with self._store.begin() as tx:
            try:
                # Locked: see RemoveGrants.
                connection = await tx.connections.get(company_id, connection_id, lock=True, deleted=True)
            except ConnectionNotFound:
                return (
                    False  # tagged as ours, yet unknown: after a restored backup these are good connections
                )
            attempts = await tx.attempts.of(company_id, connection_id)
        closed = {attempt.id for attempt in attempts if attempt.closed_at is not None}
        return is_over(grant, connection, closed)

    async def _remove(self, over: Sequence[Grant]) -> None:
        # What is over stays over, and what is not removed now is found again by the next walk: no intent.
        try:
            for grant in over:
                await self._gateway.delete(grant.integration, grant.nango_id)
        except DomainError as problem:
            _log.warning(
                "not all that is over was removed at Nango",
                code=problem.code,
                problem=problem.why or str(problem),
            )

    async def _owe(self, connection: Connection) -> None:
        async with self._store.begin() as tx:
            await owe_a_look(tx, connection, self._ids, delay=_AT_ONCE)
