"""Connections: read, change, check, end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from adapters.http import present
from adapters.http.answers import ok, ok_page
from adapters.http.inputs import given, path_id, read_body, read_nothing, read_query
from adapters.http.requests import ConnectionChanges, EventsQuery, ListQuery, Nothing
from adapters.http.schemas import Deleted
from application.ports import ConnectionFilter
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from aiohttp import web

    from adapters.http.use_cases import UseCases
    from application.authenticate import Caller


@frozen
class ConnectionHandlers:
    """The reference's calls on connections that are there, and those beyond it."""

    _use_cases: UseCases

    async def list(self, request: web.Request, caller: Caller) -> web.Response:
        """Answer "List connections"."""
        query = read_query(ListQuery, request)
        wanted = ConnectionFilter(
            provider=given(query.provider),
            status=given(query.status),
            name=given(query.name),
            external_account_id=given(query.external_account_id),
        )
        page = await self._use_cases.list_connections(
            company_id=caller.company_id, wanted=wanted, limit=query.limit, cursor=given(query.cursor)
        )
        items = present.summaries(page.items)
        return ok_page(items, has_more=page.has_more, next_cursor=page.next_cursor)

    async def get(self, request: web.Request, caller: Caller) -> web.Response:
        """Answer "Get connection"."""
        connection_id = path_id(request)
        read_query(Nothing, request)
        connection = await self._use_cases.get_connection(
            company_id=caller.company_id, connection_id=connection_id
        )
        return ok(present.details(connection))

    async def update(self, request: web.Request, caller: Caller) -> web.Response:
        """Rename a connection, or replace its metadata."""
        connection_id = path_id(request)
        read_query(Nothing, request)
        body = await read_body(ConnectionChanges, request)
        name, metadata = given(body.name), given(body.metadata)
        if name is None and metadata is None:
            raise InvalidInput(("body", "must name what to change: name, metadata"))
        connection = await self._use_cases.update_connection(
            company_id=caller.company_id,
            connection_id=connection_id,
            name=name and name.strip(),
            metadata=metadata,
            actor=caller.actor,
        )
        return ok(present.details(connection))

    async def delete(self, request: web.Request, caller: Caller) -> web.Response:
        """Answer "Delete connection"."""
        connection_id = path_id(request)
        await read_nothing(request)
        await self._use_cases.delete_connection(
            company_id=caller.company_id, connection_id=connection_id, actor=caller.actor
        )
        return ok(Deleted())

    async def disconnect(self, request: web.Request, caller: Caller) -> web.Response:
        """Let go of the account and keep the record."""
        connection_id = path_id(request)
        await read_nothing(request)
        connection = await self._use_cases.disconnect_connection(
            company_id=caller.company_id, connection_id=connection_id, actor=caller.actor
        )
        return ok(present.details(connection))

    async def refresh(self, request: web.Request, caller: Caller) -> web.Response:
        """Answer "Refresh connection"."""
        connection_id = path_id(request)
        await read_nothing(request)
        connection = await self._use_cases.refresh_connection(
            company_id=caller.company_id, connection_id=connection_id, actor=caller.actor
        )
        return ok(present.refreshed(connection))

    async def verify(self, request: web.Request, caller: Caller) -> web.Response:
        """Answer "Verify connection"."""
        connection_id = path_id(request)
        await read_nothing(request)
        verification = await self._use_cases.verify_connection(
            company_id=caller.company_id, connection_id=connection_id, actor=caller.actor
        )
        return ok(present.verified(verification))

    async def events(self, request: web.Request, caller: Caller) -> web.Response:
        """Tell the history of one connection."""
        return await self._history(request, caller, path_id(request))

    async def company_events(self, request: web.Request, caller: Caller) -> web.Response:
        """Tell the history of the company's connections."""
        return await self._history(request, caller, None)

    async def _history(self, request: web.Request, caller: Caller, connection_id: str | None) -> web.Response:
        query = read_query(EventsQuery, request)
        after = given(query.after)
        try:
            page = await self._use_cases.list_events(
                company_id=caller.company_id, connection_id=connection_id, limit=query.limit, cursor=after
            )
        except InvalidInput as problem:  # the core calls it a cursor, the caller calls it `after`
            raise InvalidInput(*(("after", message) for _, message in problem.details)) from None
        # History grows: there is a cursor to come back with, except where nothing has happened yet.
        return ok_page(
            [present.event(fact) for fact in page.items],
            has_more=page.has_more,
            next_cursor=page.next_cursor or after,
        )
