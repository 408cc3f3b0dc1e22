"""Reauthorize with credentials: a new key for an API-key connection, active or not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from application.authorization_rules import kept_parameters
from application.confirm_attempt import ready_to_authorize
from application.described import way_of
from application.import_credentials import api_key_of, may_be_under_way
from application.owed import IMPORTING, LATE, removal
from application.remove_grants import HURRIED, PATIENT, remove_now
from application.settle import identified
from domain.connection import DISCONNECTED, AuthKind, Connection
from domain.errors import ConcurrentChange, InvalidInput, Unavailable
from domain.provider import normalise_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.import_credentials import ImportCredentials
    from application.ports import Ids, Job, ProviderCatalogue, Store, Transaction, Verdict
    from application.remove_grants import RemoveGrants

_SPARE = timedelta(seconds=10)
"""More than a transaction can take: whoever begins to swap so long before the worker may come is alone."""


@frozen
class ReplaceCredentials:
    """Try the new key under a new Nango id, then swap: a bad key never replaces a good one."""

    _store: Store
    _catalogue: ProviderCatalogue
    _ids: Ids
    _importing: ImportCredentials
    _remove: RemoveGrants

    async def __call__(
        self,
        *,
        company_id: str,
        connection_id: str,
        parameters: Mapping[str, str] | None,
        credentials: Mapping[str, str],
        actor: str,
    ) -> Connection:
        """Give the connection, active with the new key.

        Raises:
            ConnectionNotFound: no such connection in this company.
            InvalidInput: it is an OAuth connection, or a field is missing, unknown or ill-formed.
            ProviderCallImpossible: its provider is not described any more, or not with keys.
            ConcurrentChange: it was disconnected meanwhile, and stays so.
            CredentialsRefused: the provider does not accept the key; the old one stays.
            Unavailable, GatewayNonsense: it could not be tried, or not in time; the old one stays.

        """
        new_id = self._ids.random_id()
        async with self._store.begin() as tx:
            connection = await tx.connections.get(company_id, connection_id)
            if connection.auth_kind is not AuthKind.API_KEY:
                raise InvalidInput(
                    ("credentials", "must be left out: this connection was authorized by OAuth")
                )
            api_key = way_of(self._catalogue, connection, api_key_of)
            values = normalise_parameters(
                api_key.parameters,
                {**kept_parameters(api_key.parameters, connection.parameters), **(parameters or {})},
            )
            filled = api_key.fill(credentials)
            # The intent: unless it has become the connection's own by then, the new grant goes.
            intent = self._removal(tx, connection, api_key.integration, new_id, after=IMPORTING)
            await tx.jobs.add(intent)
        candidate = attrs.evolve(connection, parameters=values)
        try:
            verdict = await self._importing(
                candidate, new_id, api_key, filled, secrets=api_key.secrets(credentials)
            )
        except BaseException as problem:
            silent = may_be_under_way(problem)
            if silent:
                # No attempt's tag says what it was: nobody but these two would ever find it.
                async with self._store.begin() as tx:
                    for after in (IMPORTING, LATE):
                        late = self._removal(tx, connection, api_key.integration, new_id, after=after)
                        await tx.jobs.add(late)
            await remove_now(self._remove, intent, within=HURRIED if silent else PATIENT)
            raise
        return await self._swap(candidate, new_id, api_key.integration, verdict, intent, by=actor)

    async def _swap(
        self,
        candidate: Connection,
        new_id: str,
        integration: str,
        verdict: Verdict,
        intent: Job,
        *,
        by: str,
    ) -> Connection:
        old: Job | None = None
        async with self._store.begin() as tx:
            if tx.now + _SPARE >= intent.due_at:
                # The worker may be removing the new grant at this moment.
                raise Unavailable("This took too long. Try again.", retry_after=1)
            current = await tx.connections.get(candidate.company_id, candidate.id, lock=True)
            if current.status is DISCONNECTED and current.version != candidate.version:
                raise ConcurrentChange  # disconnected while the key was tried; the worker removes it
            if current.nango_id is not None:
                old = self._removal(tx, current, current.integration, current.nango_id, after=IMPORTING)
                await tx.jobs.add(old)
            current = await ready_to_authorize(tx, current, by=by)
            authorized = current.authorize(
                nango_id=new_id, integration=integration, parameters=candidate.parameters, at=tx.now, by=by
            )
            await tx.connections.save(authorized)
            current = authorized.after
            if named := identified(verdict, by=by)(current, tx.now):
                await tx.connections.save(named)
                current = named.after
            await tx.jobs.finish(intent.id)
        if old is not None:
            await remove_now(self._remove, old)
        return current

    def _removal(
        self, tx: Transaction, connection: Connection, integration: str, nango_id: str, *, after: timedelta
    ) -> Job:
        due_at = tx.now + after
        return removal(connection, self._ids, due_at=due_at, integration=integration, nango_id=nango_id)
