"""Create connection with credentials: active at once, or nothing at all."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from application.create_connection import ConnectionCreated
from application.idempotency import Idempotency, Reservation
from application.import_credentials import api_key_of, may_be_under_way
from application.new_connection import NewConnection
from application.ports import Job, JobKind
from application.remove_grants import HURRIED, PATIENT, end_authorizations, remove_now
from application.settle import identified
from domain.connection import ACTIVE, PENDING, AuthKind
from domain.errors import ConcurrentChange, ConnectionNotFound, CredentialsRefused, GrantNotFound
from domain.provider import normalise_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.import_credentials import ImportCredentials
    from application.ports import Ids, ProviderCatalogue, Store, Verdict
    from application.remove_grants import RemoveGrants
    from domain.connection import Connection
    from domain.provider import ApiKey

ACTOR = "worker"
PATIENCE = timedelta(seconds=45)
"""Longer than an import and its probe can take: then the worker finishes what a crash left."""

TRIES = 10
"""How often the worker asks for an interrupted import, over two and a half hours, before it gives it up."""

_LONGEST_WAIT = timedelta(minutes=30)


@frozen
class CreateApiKeyConnection:
    """Import a key, try it, and only then show the connection.

    Until then its row is pending, which hides an API-key connection, and an IMPORT job stands for it. The id
    at Nango is the connection's own, so that a repetition overrides instead of duplicating.
    """

    _store: Store
    _catalogue: ProviderCatalogue
    _ids: Ids
    _importing: ImportCredentials
    _remove: RemoveGrants
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
        parameters: Mapping[str, str],
        credentials: Mapping[str, str],
        idempotency_key: str | None,
        actor: str,
    ) -> ConnectionCreated:
        """Give the active connection.

        Raises:
            InvalidInput: the provider takes no keys, or a field is missing, unknown or ill-formed.
            CredentialsRefused: the provider does not accept them; nothing was kept.
            IdempotencyKeyReused: the key came with another request before.
            Unavailable, GatewayNonsense: they could not be tried; nothing was kept.

        """
        api_key = api_key_of(self._catalogue.get(provider).provider)
        wanted = _Wanted(
            company_id=company_id,
            provider=provider,
            name=name,
            metadata=metadata,
            parameters=normalise_parameters(api_key.parameters, parameters),
            credentials=api_key.fill(credentials),
            api_key=api_key,
            actor=actor,
        )
        told = ["api_key", provider, name, metadata, dict(wanted.parameters), dict(wanted.credentials)]
        return await self._once(
            company_id,
            idempotency_key,
            told,
            lambda reservation: self._begin(wanted, reservation),
            lambda reservation: self._again(wanted, reservation),
        )

    async def _begin(self, wanted: _Wanted, reservation: Reservation | None) -> ConnectionCreated:
        async with self._store.begin() as tx:
            connection = await wanted.begin(
                tx,
                self._ids,
                reservation,
                auth_kind=AuthKind.API_KEY,
                integration=wanted.api_key.integration,
            )
            intent = Job(
                id=self._ids.random_id(),
                kind=JobKind.IMPORT,
                company_id=wanted.company_id,
                connection_id=connection.id,
                due_at=tx.now + PATIENCE,
            )
            await tx.jobs.add(intent)
        return await self._try(wanted, connection, intent, reservation)

    async def _again(self, wanted: _Wanted, reservation: Reservation) -> ConnectionCreated:
        record = reservation.record
        async with self._store.begin() as tx:
            connection = await tx.connections.get(wanted.company_id, record.connection_id, deleted=True)
            if record.authorization_url is not None:
                return _answer(connection)
            if connection.deleted_at is not None:
                raise ConnectionNotFound
            if connection.status is not PENDING:
                return _answer(connection)  # the worker has finished what the first try began
            reservation = await reservation.resume(tx, self._ids.state().encode())
        return await self._try(wanted, connection, None, reservation)

    async def _try(
        self, wanted: _Wanted, connection: Connection, intent: Job | None, reservation: Reservation | None
    ) -> ConnectionCreated:
        try:
            verdict = await self._importing(
                connection, nango_id_of(connection), wanted.api_key, wanted.credentials
            )
        except BaseException as problem:
            await discard_import(
                self._store,
                self._ids,
                self._remove,
                connection,
                by=wanted.actor,
                intent=intent,
                reservation=reservation,
                under_way=may_be_under_way(problem),
            )
            raise
        try:
            activated = await activate_import(
                self._store, connection, verdict, by=wanted.actor, intent=intent, reservation=reservation
            )
        except ConnectionNotFound:
            # The worker gave it up while we tried: what Nango has stored since goes, too.
            await discard_import(
                self._store, self._ids, self._remove, connection, by=wanted.actor, intent=None
            )
            raise
        return _answer(activated)


@frozen
class FinishImport:
    """Does an IMPORT job: an import that a crash interrupted is completed if Nango has it, else forgotten.

    So is one of which nothing can be found out: the provider's description may be gone, or the credentials be
    such that Nango can never use them.
    """

    _store: Store
    _ids: Ids
    _importing: ImportCredentials
    _remove: RemoveGrants

    async def __call__(self, job: Job) -> None:
        """Finish, and owe it no more.

        Raises:
            DomainError: it could not be found out now; the job stays.

        """
        async with self._store.begin() as tx:
            connection = await tx.connections.get(job.company_id, job.connection_id, deleted=True)
            if connection.status is not PENDING or connection.deleted_at is not None:
                await tx.jobs.finish(job.id)
                return
        imported = attrs.evolve(connection, nango_id=nango_id_of(connection))
        try:
            verdict = await self._importing.look(imported)
        except (CredentialsRefused, GrantNotFound):
            await discard_import(self._store, self._ids, self._remove, connection, by=ACTOR, intent=job)
        else:
            await activate_import(self._store, connection, verdict, by=ACTOR, intent=job)

    async def later(self, job: Job) -> None:
        """Try again with a growing delay, a few times; then leave nothing of it."""
        async with self._store.begin() as tx:
            if job.tries + 1 < TRIES:
                wait = min(timedelta(minutes=1) * (1 << job.tries), _LONGEST_WAIT)
                await tx.jobs.reschedule(job, tx.now + wait)
                return
            connection = await tx.connections.get(job.company_id, job.connection_id, deleted=True)
        await discard_import(self._store, self._ids, self._remove, connection, by=ACTOR, intent=job)


def nango_id_of(connection: Connection) -> str:
    """Give the id under which a connection's first key is imported: its own UUID."""
    return connection.id.removeprefix("conn_")


async def activate_import(
    store: Store,
    connection: Connection,
    verdict: Verdict,
    *,
    by: str,
    intent: Job | None,
    reservation: Reservation | None = None,
) -> Connection:
    """Show the connection, with its account; its intent is done.

    Raises:
        ConnectionNotFound: it was forgotten meanwhile.

    """
    async with store.begin() as tx:
        current = await tx.connections.get(connection.company_id, connection.id, lock=True, deleted=True)
        if current.deleted_at is not None:
            raise ConnectionNotFound
        if current.status is PENDING:
            authorized = current.authorize(
                nango_id=nango_id_of(connection), integration=connection.integration, at=tx.now, by=by
            )
            await tx.connections.save(authorized)
            current = authorized.after
            if named := identified(verdict, by=by)(current, tx.now):
                await tx.connections.save(named)
                current = named.after
        if reservation:
            await reservation.answered(tx, "")
        if intent:
            await tx.jobs.finish(intent.id)
    return current


async def discard_import(
    store: Store,
    ids: Ids,
    remove: RemoveGrants,
    connection: Connection,
    *,
    by: str,
    intent: Job | None,
    reservation: Reservation | None = None,
    under_way: bool = False,
) -> None:
    """Leave nothing of a key that was refused or could not be tried, nor of one that was forgotten before.

    `under_way`: Nango may store it after we have removed it, so that is done once more.
    """
    with contextlib.suppress(ConnectionNotFound, ConcurrentChange):
        async with store.begin() as tx:
            current = await tx.connections.get(connection.company_id, connection.id, lock=True, deleted=True)
            if current.deleted_at is None and current.status is not PENDING:
                return
            removal = await end_authorizations(tx, current, ids, nango_id=nango_id_of(connection))
            if under_way:
                await tx.jobs.add(attrs.evolve(removal, id=ids.random_id(), due_at=tx.now + PATIENCE))
            if intent:
                await tx.jobs.finish(intent.id)
            if current.deleted_at is None:
                await tx.connections.save(current.delete(at=tx.now, by=by))
                if reservation:
                    await tx.idempotency.forget(connection.company_id, reservation.record.key_hash)
        await remove_now(remove, removal, within=HURRIED if under_way else PATIENT)


@frozen(kw_only=True)
class _Wanted(NewConnection):
    credentials: Mapping[str, str] = field(repr=False)
    api_key: ApiKey


def _answer(connection: Connection) -> ConnectionCreated:
    return ConnectionCreated(
        connection_id=connection.id, name=connection.name, provider=connection.provider, status=ACTIVE
    )
