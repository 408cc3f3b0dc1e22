"""Create connection: always another one, by OAuth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from application.authorization_rules import oauth_of, parameters_for
from application.authorization_state import fill_state, with_state
from application.idempotency import Idempotency, Reservation
from application.new_connection import NewConnection
from domain.authorization import AttemptMode
from domain.connection import ACTIVE, PENDING, AuthKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.ports import Ids, ProviderCatalogue, Store
    from application.start_authorization import StartAuthorization
    from domain.authorization import Attempt
    from domain.connection import Connection, ConnectionStatus
    from domain.provider import OAuth
    from domain.redirect import RedirectUrl


@frozen(kw_only=True)
class ConnectionCreated:
    """The new connection, and where to send the user; nowhere where it is active already."""

    connection_id: str
    name: str
    provider: str
    status: ConnectionStatus
    oauth_url: str | None = field(default=None, repr=False)


@frozen
class CreateConnection:
    """Begin another connection and start its OAuth flow."""

    _store: Store
    _catalogue: ProviderCatalogue
    _ids: Ids
    _authorizations: StartAuthorization
    _once: Idempotency = field(
        init=False, default=attrs.Factory(lambda self: Idempotency(self._ids), takes_self=True)
    )

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
        oauth = oauth_of(self._catalogue.get(provider).provider)
        wanted = _Wanted(
            company_id=company_id,
            provider=provider,
            name=name,
            metadata=metadata,
            redirect_url=redirect_url,
            parameters=parameters_for(oauth, parameters, {}),
            oauth=oauth,
            actor=actor,
        )
        target = redirect_url.text if redirect_url else None
        told = ["oauth", provider, name, metadata, target, dict(wanted.parameters)]
        return await self._once(
            company_id,
            idempotency_key,
            told,
            lambda reservation: self._begin(wanted, reservation),
            lambda reservation: self._again(wanted, reservation),
        )

    async def _begin(self, wanted: _Wanted, reservation: Reservation | None) -> ConnectionCreated:
        state = reservation.state() if reservation else self._authorizations.new_state()
        async with self._store.begin() as tx:
            connection = await wanted.begin(
                tx,
                self._ids,
                reservation,
                auth_kind=AuthKind.OAUTH,
                integration=wanted.oauth.integration,
            )
            attempt = await self._authorizations.intend(
                tx, connection, wanted.oauth, wanted.redirect_url, state, wanted.parameters
            )
        return await self._start(wanted, connection, attempt, state, reservation, is_new=True)

    async def _again(self, wanted: _Wanted, reservation: Reservation) -> ConnectionCreated:
        """Answer a repetition: from the record, or by finishing what a crash left half done."""
        record = reservation.record
        if record.authorization_url is not None:
            async with self._store.begin() as tx:
                connection = await tx.connections.get(wanted.company_id, record.connection_id, deleted=True)
            return _answer(connection, fill_state(record.authorization_url, reservation.state()))
        # The first call has died. A second flow on the same connection is harmless, and its answer becomes
        # the record's.
        async with self._store.begin() as tx:
            connection = await tx.connections.get(wanted.company_id, record.connection_id, lock=True)
            if connection.status is ACTIVE:
                # Authorized since by the URL of another call: there is nowhere left to send a user.
                await reservation.answered(tx, "")
                return _answer(connection, "")
            reservation = await reservation.resume(tx, self._ids.state().encode())
            state = reservation.state()
            attempt = await self._authorizations.intend(
                tx, connection, wanted.oauth, wanted.redirect_url, state, wanted.parameters
            )
        return await self._start(wanted, connection, attempt, state, reservation, is_new=False)

    async def _start(
        self,
        wanted: _Wanted,
        connection: Connection,
        attempt: Attempt,
        state: str,
        reservation: Reservation | None,
        *,
        is_new: bool,
    ) -> ConnectionCreated:
        key_hash = reservation.record.key_hash if reservation else None
        attempt, url = await self._authorizations.start(
            attempt, wanted.oauth, state=state, by=wanted.actor, is_new=is_new, key_hash=key_hash
        )
        if reservation:
            kept = with_state(url, "") if attempt.mode is AttemptMode.RELAY else url
            async with self._store.begin() as tx:
                await reservation.answered(tx, kept)
        return _answer(connection, url)


@frozen(kw_only=True)
class _Wanted(NewConnection):
    redirect_url: RedirectUrl | None
    oauth: OAuth


def _answer(connection: Connection, url: str) -> ConnectionCreated:
    # With a URL, pending is what the first answer said, whatever has become of the connection since.
    return ConnectionCreated(
        connection_id=connection.id,
        name=connection.name,
        provider=connection.provider,
        status=PENDING if url else ACTIVE,
        oauth_url=url or None,
    )
