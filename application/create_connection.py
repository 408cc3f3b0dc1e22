"""Create connection: always another one, with an Idempotency-Key against doing it twice."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from application.authorizations import fill_state, oauth_of, parameters_for, with_state
from application.ports import IdempotencyRecord
from application.single_flight import SingleFlight
from domain.authorization import STATE_PREFIX, AttemptMode
from domain.connection import PENDING, AuthKind, Connection, Origin
from domain.errors import ConnectionNotFound, IdempotencyKeyReused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.authorizations import StartAuthorization
    from application.ports import Ids, ProviderCatalogue, Store
    from domain.authorization import Attempt
    from domain.connection import ConnectionStatus
    from domain.provider import OAuth
    from domain.redirect import RedirectUrl


@frozen(kw_only=True)
class ConnectionCreated:
    """The new connection, and where to send the user."""

    connection_id: str
    name: str
    provider: str
    status: ConnectionStatus
    oauth_url: str | None = field(repr=False)


@frozen
class CreateConnection:
    """Begin another connection and start its OAuth flow."""

    _store: Store
    _catalogue: ProviderCatalogue
    _ids: Ids
    _authorizations: StartAuthorization
    _flights: SingleFlight = field(init=False, factory=SingleFlight)

    async def __call__(
        self,
        *,
        company_id: str,
        provider: str,
        name: str,
        metadata: Mapping[str, Any],
        redirect_url: RedirectUrl | None,
        parameters: Mapping[str, str],
        idempotency_key: str | None,
        actor: str,
    ) -> ConnectionCreated:
        """Give the new connection; the same key with the same request gives the same answer for 24 hours.

        Raises:
            InvalidInput: unknown provider, or a parameter is missing, unknown or ill-formed.
            IdempotencyKeyReused: the key came with another request before.
            TooManyAttempts: too many authorizations are open.

        """
        wanted = _Wanted(
            company_id=company_id,
            provider=provider,
            name=name,
            metadata=metadata,
            redirect_url=redirect_url,
            parameters=parameters,
            actor=actor,
            oauth=oauth_of(self._catalogue.get(provider).provider),
        )
        if idempotency_key is None:
            return await self._begin(wanted, None)
        return await self._flights.join(
            (company_id, idempotency_key, wanted.fingerprint()), lambda: self._once(wanted, idempotency_key)
        )

    async def _once(self, wanted: _Wanted, key: str) -> ConnectionCreated:
        record = IdempotencyRecord(
            key_hash=hashlib.sha256(key.encode()).digest(),
            fingerprint=wanted.fingerprint(),
            connection_id=self._ids.connection_id(),
            salt=self._ids.state().encode(),
        )
        try:
            return await self._begin(wanted, _Reservation(key=key, record=record))
        except _KeyTaken as taken:
            if taken.record.fingerprint != record.fingerprint:
                raise IdempotencyKeyReused from None
            try:
                return await self._again(wanted, key, taken.record)
            except ConnectionNotFound:
                # Its flow never started, and the worker has cleared away what it left: begin anew.
                async with self._store.begin() as tx:
                    await tx.idempotency.forget(wanted.company_id, record.key_hash)
                return await self._begin(wanted, _Reservation(key=key, record=record))

    async def _begin(self, wanted: _Wanted, reservation: _Reservation | None) -> ConnectionCreated:
        state = reservation.state() if reservation else self._ids.state()
        async with self._store.begin() as tx:
            if reservation and (there := await tx.idempotency.put(wanted.company_id, reservation.record)):
                raise _KeyTaken(there)
            begun = Connection.begin(
                id=reservation.record.connection_id if reservation else self._ids.connection_id(),
                company_id=wanted.company_id,
                provider=wanted.provider,
                name=wanted.name,
                auth_kind=AuthKind.OAUTH,
                origin=Origin.CREATE,
                integration=wanted.oauth.integration,
                parameters=parameters_for(wanted.oauth, wanted.parameters, {}),
                metadata=wanted.metadata,
                at=tx.now,
                by=wanted.actor,
            )
            await tx.connections.save(begun)
            attempt = await self._authorizations.intend(
                tx, begun.after, wanted.oauth, wanted.redirect_url, state
            )
        return await self._start(wanted, begun.after, attempt, state, reservation)

    async def _again(self, wanted: _Wanted, key: str, record: IdempotencyRecord) -> ConnectionCreated:
        """Answer a repeated key: from the record, or by finishing what a crash left half done."""
        reservation = _Reservation(key=key, record=record)
        if record.authorization_url is not None:
            async with self._store.begin() as tx:
                connection = await tx.connections.get(wanted.company_id, record.connection_id, deleted=True)
            return _answer(connection, fill_state(record.authorization_url, reservation.state()))
        # The first call is still waiting for Nango in another process, or died there. A second flow on the
        # same connection is harmless, and its answer becomes the record's.
        reservation = attrs.evolve(reservation, record=attrs.evolve(record, salt=self._ids.state().encode()))
        state = reservation.state()
        async with self._store.begin() as tx:
            connection = await tx.connections.get(wanted.company_id, record.connection_id, lock=True)
            attempt = await self._authorizations.intend(
                tx, connection, wanted.oauth, wanted.redirect_url, state
            )
        return await self._start(wanted, connection, attempt, state, reservation)

    async def _start(
        self,
        wanted: _Wanted,
        connection: Connection,
        attempt: Attempt,
        state: str,
        reservation: _Reservation | None,
    ) -> ConnectionCreated:
        key_hash = reservation.record.key_hash if reservation else None
        try:
            attempt, url = await self._authorizations.start(
                attempt, wanted.oauth, connection.parameters, state=state, by=wanted.actor
            )
        except BaseException:
            await self._authorizations.undo(attempt, by=wanted.actor, key_hash=key_hash)
            raise
        if reservation:
            kept = with_state(url, "") if attempt.mode is AttemptMode.RELAY else url
            async with self._store.begin() as tx:
                await tx.idempotency.complete(
                    wanted.company_id,
                    reservation.record.key_hash,
                    salt=reservation.record.salt,
                    authorization_url=kept,
                )
        return _answer(connection, url)


@frozen(kw_only=True)
class _Wanted:
    company_id: str
    provider: str
    name: str
    metadata: Mapping[str, Any]
    redirect_url: RedirectUrl | None
    parameters: Mapping[str, str]
    actor: str
    oauth: OAuth

    def fingerprint(self) -> bytes:
        """Tell one request from another under the same key."""
        redirect_url = self.redirect_url.text if self.redirect_url else None
        told = [self.provider, self.name, self.metadata, redirect_url, dict(self.parameters)]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()


@frozen(kw_only=True)
class _Reservation:
    """An Idempotency-Key at work: the answer's state derives from the key, which is never stored."""

    key: str = field(repr=False)
    record: IdempotencyRecord

    def state(self) -> str:
        digest = hmac.digest(self.key.encode(), self.record.salt, "sha256")
        return STATE_PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class _KeyTaken(Exception):
    def __init__(self, record: IdempotencyRecord) -> None:
        self.record = record
        super().__init__()


def _answer(connection: Connection, url: str) -> ConnectionCreated:
    # Pending is what the first answer said, whatever has become of the connection since.
    return ConnectionCreated(
        connection_id=connection.id,
        name=connection.name,
        provider=connection.provider,
        status=PENDING,
        oauth_url=url,
    )
