"""The end of a flow: `GET /oauth/callback` exchanges the code and stores the connection.

Source: Nango 0.71.4, observed (recorded as oauth-03 to oauth-14, oauth-41, cookie, reconnect, webhook). The
answer is always a page: 200 where the connection is there, 400 where it is not, never a redirect.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING, Any

from attrs import evolve

from adapters.sandbox.errors import FlowRefused
from adapters.sandbox.model import Connection, connection_key
from adapters.sandbox.pages import flow_finished
from adapters.sandbox.refresh import oauth2_credentials, token_request
from adapters.sandbox.sandbox import SANDBOX
from adapters.sandbox.tokens import TokenRefused

if TYPE_CHECKING:
    from aiohttp import web

    from adapters.sandbox.model import Flow, Integration, Session
    from adapters.sandbox.sandbox import Sandbox

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)

COOKIE_MISSING = (
    "OAuth state cookie missing. The callback must be completed by the same browser that started the flow"
    " — a server-side or fetch-forwarded callback does not include it."
)
RESPONSE_ERRORS: dict[str, tuple[str, dict[str, str]]] = {
    "invalid_grant": (
        "400 Bad Request",
        {"error": "invalid_grant", "error_description": "refresh token revoked"},
    ),
    "invalid_client": ("401 Unauthorized", {"error": "invalid_client"}),
    "server_error": ("500 Internal Server Error", {"error": "server_error"}),
    "rate_limited": ("429 Too Many Requests", {"error": "rate_limited"}),
}


async def finish_flow(request: web.Request) -> web.Response:
    """Complete a flow. The state is used up by whatever comes, HEAD and failures included."""
    sandbox = request.app[SANDBOX]
    return await asyncio.shield(sandbox.spawn(_finish(sandbox, request)))


async def _finish(sandbox: Sandbox, request: web.Request) -> web.Response:
    flow = _claim(sandbox, request)
    integration = sandbox.integrations.get(flow.integration)
    session = sandbox.sessions.get(flow.session)
    if integration is None or session is None:
        raise FlowRefused("Unknown error during the Oauth flow.")
    code = request.query.get("code")
    if not code:
        raise _denied(sandbox, integration, flow, session, dict(request.query))
    answer = await _tokens(sandbox, integration, flow, session, code)
    returned = {key: request.query[key] for key in integration.callback_keys if key in request.query}
    if "instance_url" in answer:
        returned["instance_url"] = answer["instance_url"]
    _keep(sandbox, integration, flow, session, oauth2_credentials(answer), returned)
    return flow_finished()


def _claim(sandbox: Sandbox, request: web.Request) -> Flow:
    state = request.query.get("state")
    if not state:
        raise FlowRefused("No state found in callback")
    if not UUID.match(state):
        raise FlowRefused("invalid_oauth_state")
    flow = sandbox.flows.pop(state)
    if flow is None:
        raise FlowRefused(f'No session found for state: "{state}"')
    if sandbox.settings.enforce_state_cookie and f"oauth2-{state}" not in request.cookies:
        raise FlowRefused(COOKIE_MISSING)
    return flow


def _denied(
    sandbox: Sandbox, integration: Integration, flow: Flow, session: Session, query: dict[str, str]
) -> FlowRefused:
    said = {key: query[key] for key in ("error", "error_description") if key in query}
    words = "; ".join(f"{key}: {value}" for key, value in said.items())
    description = f"Did not get authorization code in the callback. Provider error: {words}"
    error = {"type": "invalid_callback", "description": description}
    sandbox.webhooks.not_created(integration, flow.connection_id, error, session.webhook_url_override)
    return FlowRefused(json.dumps(said, separators=(",", ":")))


async def _tokens(
    sandbox: Sandbox, integration: Integration, flow: Flow, session: Session, code: str
) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        return sandbox.authorization_server.exchange(integration, code, flow.code_verifier, flow.redirect_uri)

    try:
        return await token_request(sandbox, "token_exchange", integration.unique_key, flow.connection_id, ask)
    except TokenRefused as refusal:
        message, error = _explain(refusal.kind)
        sandbox.webhooks.not_created(integration, flow.connection_id, error, session.webhook_url_override)
        raise FlowRefused(message) from refusal


def _explain(kind: str) -> tuple[str, dict[str, str]]:
    """Give what the page says and what the webhook says of a failed token request."""
    if kind == "empty":
        description = "OAuth2 token request failed, response from the server could not be parsed"
        error = {"type": "unable_to_parse_token_response", "description": description}
        return "Unknown error during the Oauth flow.", error
    if kind in RESPONSE_ERRORS:
        line, payload = RESPONSE_ERRORS[kind]
        failure = {"name": "Error", "message": f"Response Error: {line}", "provider_error_payload": payload}
    else:
        failure = {"name": "Error", "message": "The content-type is not JSON compatible"}
    message = json.dumps(failure, indent=2)
    return message, {"type": "unknown", "description": message}


def _keep(
    sandbox: Sandbox,
    integration: Integration,
    flow: Flow,
    session: Session,
    credentials: dict[str, Any],
    returned: dict[str, str],
) -> None:
    """Store the connection under its id: new, over the one that is there, or back from deletion."""
    now = time.time()
    # A preset value wins over the provider's word: so it was observed, and why realmId is never preset.
    config = returned | flow.connection_config
    known = sandbox.connections.get(connection_key(flow.integration, flow.connection_id))
    if known is None or known.deleted:
        made = Connection(
            sandbox.next_id(),
            flow.connection_id,
            flow.integration,
            credentials,
            created_at=now,
            updated_at=now,
            last_fetched_at=now,
            tags=session.tags,
            end_user=session.end_user,
            connection_config=config,
            webhook_url_override=session.webhook_url_override,
        )
        sandbox.webhooks.created(integration, sandbox.store(made), by_user=True)
        return
    again = evolve(
        known,
        credentials=credentials,
        tags=session.tags,
        end_user=session.end_user or known.end_user,
        connection_config=config,
        webhook_url_override=session.webhook_url_override,
        last_fetched_at=now,
        errors=[],
        refresh_failed_at=None,
        refresh_failures=[],
        refresh_exhausted=False,
    )
    sandbox.webhooks.overridden(integration, sandbox.store(again), by_user=session.end_user is not None)
