"""The start of an attempt, whichever call asks for it; and its undoing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from math import ceil
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from application.authorization_state import hash_state, with_state
from domain.authorization import (
    LIFETIME,
    LOOKUP_DELAY,
    OPEN_PER_COMPANY,
    OPEN_PER_CONNECTION,
    Attempt,
    AttemptMode,
    Outcome,
)
from domain.connection import ACTIVE, PENDING
from domain.errors import ActiveConnectionExists, ConcurrentChange, GrantNotFound, TooManyAttempts
from domain.provider import ParameterTarget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from application.ports import AuthGateway, Flow, Ids, Session, Store, Transaction
    from domain.connection import Connection
    from domain.provider import OAuth
    from domain.redirect import RedirectUrl


@frozen
class StartAuthorization:
    """Opens an attempt and starts its flow at Nango: intent, remote call, outcome."""

    _store: Store
    _gateway: AuthGateway
    _ids: Ids
    _callback_url: str

    def new_state(self) -> str:
        """Give a state for one attempt."""
        return self._ids.state()

    async def intend(
        self,
        tx: Transaction,
        connection: Connection,
        oauth: OAuth,
        redirect_url: RedirectUrl | None,
        state: str,
        parameters: Mapping[str, str],
    ) -> Attempt:
        """Write the attempt, before Nango is asked for anything.

        Raises:
            TooManyAttempts: the connection or its company has too many open ones.

        """
        of_connection, of_company = await tx.attempts.count_open(connection.company_id, connection.id)
        if of_connection >= OPEN_PER_CONNECTION:
            ends = [
                other.expires_at
                for other in await tx.attempts.of(connection.company_id, connection.id)
                if other.closed_at is None and other.expires_at > tx.now
            ]
            raise TooManyAttempts(retry_after=ceil((min(ends) - tx.now).total_seconds()))
        if of_company >= OPEN_PER_COMPANY:
            raise TooManyAttempts(retry_after=60)
        attempt = Attempt(
            id=self._ids.random_id(),
            company_id=connection.company_id,
            connection_id=connection.id,
            provider=connection.provider,
            # An account that Nango knows stays with its integration; else the provider's file decides.
            integration=connection.integration if connection.nango_id else oauth.integration,
            nango_id=connection.nango_id,
            parameters=parameters,
            state_hash=hash_state(state),
            redirect_url=redirect_url,
            created_at=tx.now,
            expires_at=tx.now + LIFETIME,
            check_at=tx.now + LOOKUP_DELAY,
        )
        await tx.attempts.add(attempt)
        return attempt

    async def start(
        self,
        attempt: Attempt,
        oauth: OAuth,
        *,
        state: str,
        by: str,
        name: str | None = None,
        is_new: bool = False,
        key_hash: bytes | None = None,
    ) -> tuple[Attempt, str]:
        """Start the flow and make the connection pending; give the attempt and where to send the user.

        `is_new` where the connection was made for this attempt. Where this fails, it is undone.

        Raises:
            ActiveConnectionExists: another attempt completed meanwhile.

        """
        async with self._undone_if_it_fails(attempt, by=by, key_hash=key_hash):
            attempt, session = await self._open_session(attempt, oauth)
            flow = await self._gateway.start_flow(attempt.integration, session)
            attempt = self._begun(attempt, flow)
            await self._record(attempt, by=by, name=name, is_new=is_new)
        if attempt.mode is AttemptMode.RELAY:
            return attempt, with_state(flow.authorization_url, state)
        return attempt, flow.authorization_url

    async def start_session(self, attempt: Attempt, oauth: OAuth, *, by: str) -> Session:
        """Open a session for a front end that starts the flow itself; where this fails, it is undone.

        Raises:
            ActiveConnectionExists: another attempt completed meanwhile.

        """
        async with self._undone_if_it_fails(attempt, by=by):
            attempt, session = await self._open_session(attempt, oauth)
            await self._record(attrs.evolve(attempt, mode=AttemptMode.SESSION), by=by)
        return session

    @asynccontextmanager
    async def _undone_if_it_fails(
        self, attempt: Attempt, *, by: str, key_hash: bytes | None = None
    ) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            await self.undo(attempt, by=by, key_hash=key_hash)
            raise

    async def _open_session(self, attempt: Attempt, oauth: OAuth) -> tuple[Attempt, Session]:
        """Open Nango's session; a reconnect whose connection is gone at Nango begins anew."""
        try:
            return attempt, await self._session(attempt, oauth)
        except GrantNotFound:
            if attempt.nango_id is None:
                raise
        anew = attrs.evolve(attempt, nango_id=None)
        return anew, await self._session(anew, oauth)

    async def _session(self, attempt: Attempt, oauth: OAuth) -> Session:
        targets = oauth.by_target(attempt.parameters)
        return await self._gateway.open_session(
            integration=attempt.integration,
            tags=attempt.tags(await self._store.deployment()),
            connection_config=targets[ParameterTarget.CONNECTION_CONFIG],
            authorization_params=targets[ParameterTarget.AUTHORIZATION_PARAMS],
            reconnect=attempt.nango_id,
        )

    def _begun(self, attempt: Attempt, flow: Flow) -> Attempt:
        relayed = flow.redirect_uri == self._callback_url
        return attrs.evolve(
            attempt,
            mode=AttemptMode.RELAY if relayed else AttemptMode.DIRECT,
            nango_state=flow.state if relayed else None,
            nango_cookie=flow.cookie if relayed else None,
        )

    async def _record(
        self, attempt: Attempt, *, by: str, name: str | None = None, is_new: bool = False
    ) -> None:
        """Write down that the flow has begun, and make the connection pending.

        Raises:
            ActiveConnectionExists: another attempt completed meanwhile.
            ConcurrentChange: the connection was disconnected meanwhile.

        """
        async with self._store.begin() as tx:
            connection = await tx.connections.get(attempt.company_id, attempt.connection_id, lock=True)
            if connection.status is ACTIVE:
                raise ActiveConnectionExists(connection.provider)
            if not await tx.attempts.update(attrs.evolve(attempt, check_at=attempt.next_check(tx.now))):
                raise ConcurrentChange
            await self._make_pending(tx, connection, attempt, by=by, name=name, is_new=is_new)

    async def _make_pending(
        self,
        tx: Transaction,
        connection: Connection,
        attempt: Attempt,
        *,
        by: str,
        name: str | None,
        is_new: bool,
    ) -> None:
        just_begun = is_new and connection.version == 1
        if not just_begun:
            restarted = connection.restart_authorization(
                parameters=attempt.parameters, integration=attempt.integration, at=tx.now, by=by
            )
            await tx.connections.save(restarted)
            connection = restarted.after
        if renamed := connection.update(name=name, metadata=None, at=tx.now, by=by):
            await tx.connections.save(renamed)

    async def undo(
        self, attempt: Attempt, *, by: str, key_hash: bytes | None = None, unless_begun: bool = False
    ) -> None:
        """Close an attempt whose flow was never started, or whose URL nobody was given.

        A connection that nobody was told of goes with it, and so does its Idempotency-Key. `unless_begun`:
        somebody else starts it, and may have done so meanwhile.
        """
        async with self._store.begin() as tx:
            connection = await tx.connections.get(
                attempt.company_id, attempt.connection_id, lock=True, deleted=True
            )
            if unless_begun and (current := await tx.attempts.get(attempt.id)) and current.mode:
                return
            await tx.attempts.close(attempt.id, Outcome.ABANDONED, "not_started", at=tx.now)
            others = [
                other
                for other in await tx.attempts.of(attempt.company_id, attempt.connection_id)
                if other.id != attempt.id
            ]
            if connection.status is not PENDING or connection.deleted_at is not None:
                return
            if any(other.closed_at is None for other in others):
                return
            if connection.version > 1 or any(other.mode for other in others):
                # It was made pending after all, and only the database's reply was lost.
                await tx.connections.save(connection.abandon_authorization(at=tx.now, by=by))
                return
            await tx.connections.save(connection.delete(at=tx.now, by=by))
            if key_hash is not None:
                await tx.idempotency.forget(attempt.company_id, key_hash)
