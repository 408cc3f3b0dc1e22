"""Do a request with an Idempotency-Key once, and give the same answer to its repetitions for 24 hours.

The record is written in the transaction that makes the connection, so a lost reply, also the database's
own to COMMIT, never makes a second one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from attrs import field, frozen

from application.ports import IdempotencyRecord
from application.single_flight import SingleFlight
from domain.authorization import STATE_PREFIX
from domain.errors import ConnectionNotFound, IdempotencyKeyReused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from application.ports import Ids, Transaction

Result = TypeVar("Result")

TAKEN_FOR_DEAD = timedelta(seconds=8)
"""Longer than a request's calls to Nango mostly take. A process that has not answered by then is taken for
dead, and a repetition of the request takes over; docs/adr/0003 tells what happens if it was only slow."""

_LOOK_AGAIN = 0.1
"""Seconds between looks at the record of a first request that another process is still doing."""


@frozen(kw_only=True)
class Reservation:
    """An Idempotency-Key that one request holds, and the record that says so.

    The state in the request's answer is derived from the key, which only the caller has. `replaces` is the
    record of an earlier request with this key of which nothing is left.
    """

    company_id: str
    key: str = field(repr=False)
    record: IdempotencyRecord
    replaces: IdempotencyRecord | None = None

    def state(self) -> str:
        """Give the state of this request's authorization, the same each time."""
        derived = hmac.digest(self.key.encode(), self.record.salt, "sha256")
        return STATE_PREFIX + base64.urlsafe_b64encode(derived).rstrip(b"=").decode()

    async def reserve(self, tx: Transaction) -> None:
        """Take the key within the transaction that does the work."""
        there = await tx.idempotency.put(self.company_id, self.record)
        if there is not None and there == self.replaces:
            await tx.idempotency.forget(self.company_id, self.record.key_hash)
            there = await tx.idempotency.put(self.company_id, self.record)
        if there is not None:
            raise _KeyTaken(there)

    async def resume(self, tx: Transaction, salt: bytes) -> Reservation:
        """Take the key over from a request whose process has died; only one repetition of it can.

        Raises:
            _KeyTaken: another repetition has been quicker.

        """
        if not await tx.idempotency.resume(self.company_id, self.record, salt=salt):
            raise _KeyTaken(self.record)
        return attrs.evolve(self, record=attrs.evolve(self.record, salt=salt))

    async def answered(self, tx: Transaction, authorization_url: str) -> None:
        """Note the answer: repetitions get it from here."""
        await tx.idempotency.complete(
            self.company_id, self.record.key_hash, salt=self.record.salt, authorization_url=authorization_url
        )


@frozen
class Idempotency:
    """Tells a first request from its repetitions."""

    _ids: Ids
    _flights: SingleFlight = field(init=False, factory=SingleFlight)

    async def __call__(
        self,
        company_id: str,
        key: str | None,
        told: Sequence[Any],
        begin: Callable[[Reservation | None], Awaitable[Result]],
        again: Callable[[Reservation], Awaitable[Result]],
    ) -> Result:
        """Give what `begin` gives, or for a repetition what `again` gives.

        Args:
            company_id: keys are the company's own.
            key: None where the caller sent none.
            told: what the request said, as JSON; may hold secrets, of which only an HMAC is kept.
            begin: does the work; reserves the key in its first transaction.
            again: answers from the record, or resumes what it finds half done; raises ConnectionNotFound
                where the first try left nothing.

        Raises:
            IdempotencyKeyReused: the key came with another request before.

        """
        if key is None:
            return await begin(None)
        # Keyed with the caller's own key: a fingerprint must not help to guess a credential.
        text = json.dumps(told, sort_keys=True)
        fingerprint = hmac.digest(key.encode(), text.encode(), "sha256")
        reservation = Reservation(
            company_id=company_id,
            key=key,
            record=IdempotencyRecord(
                key_hash=hashlib.sha256(key.encode()).digest(),
                fingerprint=fingerprint,
                connection_id=self._ids.connection_id(),
                salt=self._ids.state().encode(),
            ),
        )
        return await self._flights.join(
            (company_id, key, fingerprint), lambda: self._once(reservation, begin, again)
        )

    async def _once(
        self,
        reservation: Reservation,
        begin: Callable[[Reservation | None], Awaitable[Result]],
        again: Callable[[Reservation], Awaitable[Result]],
    ) -> Result:
        try:
            return await self._first(reservation, begin)
        except _KeyTaken as taken:
            there = taken.record
        try:
            return await again(attrs.evolve(reservation, record=there))
        except _KeyTaken:
            # Another repetition resumes it: its answer is everybody's.
            return await self._once(reservation, begin, again)
        except ConnectionNotFound:
            # What the first try began has been cleared away: one of those who find out begins anew.
            return await self._once(attrs.evolve(reservation, replaces=there), begin, again)

    async def _first(
        self, reservation: Reservation, begin: Callable[[Reservation | None], Awaitable[Result]]
    ) -> Result:
        """Begin, or wait for whoever has begun in another process: both callers get the same answer."""
        while True:
            try:
                return await begin(reservation)
            except _KeyTaken as taken:
                if taken.record.fingerprint != reservation.record.fingerprint:
                    raise IdempotencyKeyReused from None
                if taken.record.age >= TAKEN_FOR_DEAD or taken.record.authorization_url is not None:
                    raise
            await asyncio.sleep(_LOOK_AGAIN)


class _KeyTaken(Exception):
    def __init__(self, record: IdempotencyRecord) -> None:
        self.record = record
        super().__init__()
