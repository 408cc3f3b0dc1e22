"""Create connection with credentials: active at once, or nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from application.create_connection import ConnectionCreated
from application.idempotency import Idempotency, Reservation
from application.import_credentials import api_key_of, may_be_under_way
from application.new_connection import NewConnection
from application.owed import IMPORTING
from application.ports import Job, JobKind
from application.settle_import import nango_id_of
from domain.connection import ACTIVE, PENDING, AuthKind
from domain.errors import ConnectionNotFound
from domain.provider import normalise_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from application.import_credentials import ImportCredentials
    from application.ports import Ids, ProviderCatalogue, Store
    from application.settle_import import SettleImport
    from domain.connection import Connection
    from domain.provider import ApiKey


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
    _settle: SettleImport
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
            secrets=api_key.secrets(credentials),
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
                due_at=tx.now + IMPORTING,
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
                connection,
                nango_id_of(connection),
                wanted.api_key,
                wanted.credentials,
                secrets=wanted.secrets,
            )
        except BaseException as problem:
            await self._settle.discard(
                connection,
                by=wanted.actor,
                intent=intent,
                reservation=reservation,
                under_way=may_be_under_way(problem),
            )
            raise
        try:
            activated = await self._settle.activate(
                connection, verdict, by=wanted.actor, intent=intent, reservation=reservation
            )
        except ConnectionNotFound:
            # The worker gave it up while we tried: what Nango has stored since goes, too.
            await self._settle.discard(connection, by=wanted.actor, intent=None)
            raise
        return _answer(activated)


@frozen(kw_only=True)
class _Wanted(NewConnection):
    credentials: Mapping[str, str] = field(repr=False)
    secrets: Sequence[str] = field(repr=False)
    api_key: ApiKey


def _answer(connection: Connection) -> ConnectionCreated:
    return ConnectionCreated(
        connection_id=connection.id, name=connection.name, provider=connection.provider, status=ACTIVE
    )
