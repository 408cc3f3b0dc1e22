"""Where browsers come back: our relay, and the reference's callback.

There is no API key here, and nothing that is said proves anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from adapters.http import pages
from adapters.http.answers import ok, page, redirect, wants_page
from adapters.http.boundary import CONNECTION
from adapters.http.inputs import given, known_id, pairs, raw_query, read_open_query
from adapters.http.requests import ReportQuery
from adapters.http.schemas import CompletedAuthorization
from domain.authorization import STATE_PREFIX, Outcome, safe_error
from domain.connection import ACTIVE, PENDING
from domain.errors import AuthorizationFailed, AuthorizationSuperseded, InvalidInput

if TYPE_CHECKING:
    from aiohttp import web

    from adapters.http.use_cases import UseCases
    from application.authorization_results import AuthorizationResult

_SEE_OTHER = 303
_TEMPORARY_REDIRECT = 307


@frozen
class CallbackHandlers:
    """The two routes without a key. `nango_callback` is where other applications' callbacks belong."""

    _use_cases: UseCases
    _nango_callback: str

    async def relay(self, request: web.Request) -> web.StreamResponse:
        """Take back what a provider sent us; pass on what somebody else in the environment began."""
        raw = raw_query(request)
        query = pairs(raw, lenient=True)
        states = [value for name, value in query if name == "state"]
        if not any(state.startswith(STATE_PREFIX) for state in states):
            return redirect(
                _TEMPORARY_REDIRECT, f"{self._nango_callback}?{raw}" if raw else self._nango_callback
            )
        if len(states) > 1:
            raise InvalidInput(("state", "must be given once"))
        result = await self._use_cases.complete_authorization(state=states[0], query=query)
        return _present(request, result)

    async def report(self, request: web.Request) -> web.StreamResponse:
        """Answer "OAuth callback"; parameters that are not ours are none of our business."""
        query, _ = read_open_query(ReportQuery, request, lenient=True)
        error = given(query.error)
        result = await self._use_cases.report_authorization(
            provider=request.match_info["provider"],
            connection_id=known_id(query.connection_id),
            error=safe_error(error) if error or query.success == "false" else None,
            redirect_url=given(query.redirect_url),
        )
        return _present(request, result)


def _present(request: web.Request, result: AuthorizationResult) -> web.StreamResponse:
    """Send the browser where it belongs, or say here how it ended.

    Raises:
        AuthorizationFailed: it failed, and there is nowhere to say so but here.

    """
    request[CONNECTION] = result.connection_id
    if result.outcome == "pending":
        return _wait(request, result)
    failed = result.outcome == "failed"
    error = safe_error(result.error)
    if result.redirect_url is not None:
        told = {"error": error} if failed else {"success": "true"}
        told["connectionId"] = result.connection_id
        if not failed:
            told["provider"] = result.provider
        return redirect(_SEE_OTHER, result.redirect_url.with_result(told))
    if failed:
        raise AuthorizationSuperseded if error == Outcome.SUPERSEDED else AuthorizationFailed(error)
    if wants_page(request):
        return page(pages.connected())
    message = "OAuth authorization completed successfully"
    return ok(CompletedAuthorization(result.connection_id, result.provider, ACTIVE, message))


def _wait(request: web.Request, result: AuthorizationResult) -> web.StreamResponse:
    if wants_page(request):
        return page(pages.late() if result.late else pages.waiting(), status=202)
    message = "OAuth authorization is not confirmed yet"
    return ok(CompletedAuthorization(result.connection_id, result.provider, PENDING, message), status=202)
