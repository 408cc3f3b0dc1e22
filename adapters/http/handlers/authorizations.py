"""The ways to begin an authorization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from msgspec import UNSET

from adapters.http import present
from adapters.http.answers import ok
from adapters.http.fields import fields_of, read_fields
from adapters.http.inputs import (
    given,
    idempotency_key,
    path_id,
    read_body,
    read_open_query,
    read_query,
    redirect_url,
)
from adapters.http.requests import (
    AuthUrlQuery,
    NewAuthorization,
    NewConnection,
    NewSession,
    Nothing,
    ProviderPath,
)
from domain.errors import InvalidInput, InvalidParameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from adapters.http.use_cases import UseCases
    from application.authenticate import Caller


@frozen
class AuthorizationHandlers:
    """Everything that gives a caller an address to send a user to."""

    _use_cases: UseCases

    async def auth_url(self, request: web.Request, caller: Caller) -> web.Response:
        """Answer "Get auth URL"; query parameters that are not ours are the provider's."""
        path = read_fields(ProviderPath, request.match_info)
        query, parameters = read_open_query(AuthUrlQuery, request)
        name = given(query.connection_name)
        try:
            started = await self._use_cases.get_auth_url(
                company_id=caller.company_id,
                provider=path.provider,
                redirect_url=redirect_url(query.redirect_url),
                name=name and name.strip(),
                parameters=parameters,
                actor=caller.actor,
            )
        except InvalidParameters as problem:  # in a query they stand beside ours
            raise InvalidInput(*problem.bare(*fields_of(AuthUrlQuery))) from None
        return ok(present.auth_url(started))

    async def create(self, request: web.Request, caller: Caller) -> web.Response:
        """Answer "Create connection"."""
        read_query(Nothing, request)
        key = idempotency_key(request)
        body = await read_body(NewConnection, request)
        if (credentials := _credentials(body)) is not None:
            imported = await self._use_cases.create_api_key_connection(
                company_id=caller.company_id,
                provider=body.provider,
                name=body.name.strip(),
                metadata=body.metadata,
                parameters=body.parameters,
                credentials=credentials,
                idempotency_key=key,
                actor=caller.actor,
            )
            return ok(present.created(imported), status=201)
        created = await self._use_cases.create_connection(
            company_id=caller.company_id,
            provider=body.provider,
            name=body.name.strip(),
            metadata=body.metadata,
            redirect_url=redirect_url(body.redirect_url),
            parameters=body.parameters,
            idempotency_key=key,
            actor=caller.actor,
        )
        return ok(present.created(created), status=201)

    async def reauthorize(self, request: web.Request, caller: Caller) -> web.Response:
        """Start a new authorization of one connection."""
        connection_id = path_id(request)
        read_query(Nothing, request)
        body = await read_body(NewAuthorization, request, optional=True)
        if (credentials := _credentials(body)) is not None:
            replaced = await self._use_cases.replace_credentials(
                company_id=caller.company_id,
                connection_id=connection_id,
                parameters=given(body.parameters),
                credentials=credentials,
                actor=caller.actor,
            )
            return ok(present.details(replaced))
        started = await self._use_cases.reauthorize_connection(
            company_id=caller.company_id,
            connection_id=connection_id,
            redirect_url=redirect_url(body.redirect_url),
            parameters=given(body.parameters),
            actor=caller.actor,
        )
        return ok(present.auth_url(started))

    async def connect_session(self, request: web.Request, caller: Caller) -> web.Response:
        """Open a session for a front end that runs Nango's SDK."""
        connection_id = path_id(request)
        read_query(Nothing, request)
        body = await read_body(NewSession, request, optional=True)
        session = await self._use_cases.open_connect_session(
            company_id=caller.company_id,
            connection_id=connection_id,
            redirect_url=redirect_url(body.redirect_url),
            actor=caller.actor,
        )
        return ok(present.session(session), status=201)


def _credentials(body: NewConnection | NewAuthorization) -> Mapping[str, str] | None:
    """Give the credentials, if any; with them there is nobody to be sent anywhere.

    Raises:
        InvalidInput: a redirectUrl came with them.

    """
    credentials = given(body.credentials)
    if credentials is not None and body.redirect_url is not UNSET:
        raise InvalidInput(("redirectUrl", "must be left out where credentials are given"))
    return credentials
