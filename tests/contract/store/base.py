"""What every part of the store's contract builds on."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from domain.authorization import LIFETIME, Attempt
from domain.connection import AuthKind, Connection, Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
    from datetime import datetime, timedelta
    from typing import TypeAlias

    from application.ports import Store, Transaction
    from domain.history import Change

    Age: TypeAlias = Callable[[timedelta], Awaitable[None]]

ACME = "acme"
RIVAL = "rival"

_numbers = itertools.count(1)


class StoreRules:
    """A part of the contract; subclasses of the whole give the fixtures."""

    @pytest.fixture
    def store(self) -> Store:
        """An empty store."""
        raise NotImplementedError

    @pytest.fixture
    def age(self) -> Age:
        """Let everything in the store grow older, as if time had passed."""
        raise NotImplementedError


def a_birth(at: datetime, **facts: Any) -> Change:
    """Begin a connection; ids sort in the order of the calls."""
    told: dict[str, Any] = {
        "id": f"conn_{next(_numbers):06}",
        "company_id": ACME,
        "provider": "stripe",
        "name": "Stripe",
        "auth_kind": AuthKind.OAUTH,
        "origin": Origin.CREATE,
        "integration": "stripe",
        "parameters": {},
        "metadata": {},
        "by": "tests",
        **facts,
    }
    return Connection.begin(at=at, **told)


async def born(store: Store, **facts: Any) -> Connection:
    """Store a new connection, pending."""
    async with store.begin() as tx:
        change = a_birth(tx.now, **facts)
        assert await tx.connections.save(change)
    return change.after


class _ChangedMyMind(Exception):
    pass


@asynccontextmanager
async def undone(store: Store) -> AsyncIterator[Transaction]:
    """Give a transaction that fails at the end of the block."""
    with suppress(_ChangedMyMind):
        async with store.begin() as tx:
            yield tx
            raise _ChangedMyMind


async def stepped(store: Store, connection: Connection, verb: str, **facts: Any) -> Connection:
    """Store one step of a connection: `stepped(store, c, "expire", reason="old")`."""
    async with store.begin() as tx:
        change: Change = getattr(connection, verb)(at=tx.now, by="tests", **facts)
        assert await tx.connections.save(change)
    return change.after


async def authorized(store: Store, **facts: Any) -> Connection:
    """Store a connection that is active, with a grant of its own."""
    connection = await born(store, **facts)
    return await stepped(
        store, connection, "authorize", nango_id=f"nango-{connection.id}", integration=connection.integration
    )


def an_attempt(connection: Connection, at: datetime, **facts: Any) -> Attempt:
    """Make an attempt to authorize a connection, due for a check at once."""
    number = next(_numbers)
    told: dict[str, Any] = {
        "id": f"attempt-{number:06}",
        "company_id": connection.company_id,
        "connection_id": connection.id,
        "provider": connection.provider,
        "integration": connection.integration,
        "state_hash": number.to_bytes(32, "big"),
        "created_at": at,
        "expires_at": at + LIFETIME,
        "check_at": at,
        **facts,
    }
    return Attempt(**told)


async def tried(store: Store, connection: Connection, **facts: Any) -> Attempt:
    """Store an attempt."""
    async with store.begin() as tx:
        attempt = an_attempt(connection, tx.now, **facts)
        await tx.attempts.add(attempt)
    return attempt


async def together(count: int, act: Callable[[int], Coroutine[Any, Any, Any]]) -> Sequence[Any]:
    """Do something many times at once; give what each returned or raised."""
    return await asyncio.gather(*(act(number) for number in range(count)), return_exceptions=True)
