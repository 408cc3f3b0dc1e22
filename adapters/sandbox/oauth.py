"""The start of a flow: `GET /oauth/connect/{integration}` sends the browser to the provider.

Source: Nango 0.71.4, observed (recorded as oauth-01 and oauth-20 to oauth-40). The state is a UUID v1; the
cookie named after it lives an hour; no redirect parameter is honoured.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import web

from adapters.sandbox.errors import FlowRefused, NangoError, invalid, issue, unauthenticated
from adapters.sandbox.model import FLOW_LIFETIME, Flow
from adapters.sandbox.sandbox import SANDBOX
from adapters.sandbox.tokens import challenge_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.sandbox.model import Integration, Session
    from adapters.sandbox.sandbox import Sandbox

SESSION_TOKEN = re.compile(r"^nango_connect_session_[0-9a-f]{64}$")
UUID4 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", re.IGNORECASE)
CLIENT_ID = "sandbox-client"


async def start_flow(request: web.Request) -> web.Response:
    """Begin a flow: 302 to the provider's authorization page, with the state's cookie."""
    sandbox = request.app[SANDBOX]
    session = session_of(sandbox, request.query)
    name = request.match_info["integration"]
    if "connection_id" in request.query:
        forbidden = issue("custom", "connection_id is forbidden when using session token", "connection_id")
        raise invalid("invalid_query_params", forbidden)
    if session.allowed_integrations is not None and name not in session.allowed_integrations:
        raise NangoError(400, "integration_not_allowed")
    integration = sandbox.integrations.get(name)
    if integration is None:
        raise FlowRefused(f'Could not find a Provider Config matching the "{name}" key.')
    if integration.auth_mode != "OAUTH2":
        raise FlowRefused(f'Provider Config "{name}" is missing client ID, secret and/or scopes.')
    flow = _flow(sandbox, integration, session, nested(request.query, "params"))
    missing = [key for key in integration.required_config if not flow.connection_config.get(key)]
    if missing:
        template = "&".join(f"{key}=${{connectionConfig.{key}}}" for key in missing)
        raise FlowRefused(
            "Missing Connection Config param(s) in Auth request to interpolate url"
            f" {sandbox.settings.public_url}/sandbox/{name}/authorize?{template}."
            f" Provided Connection Config: {json.dumps(flow.connection_config)}"
        )
    sandbox.begin(flow)
    url = _authorization_url(sandbox, integration, session, flow, request.query)
    response = web.Response(status=302, text=f"Found. Redirecting to {url}", headers={"Location": url})
    response.set_cookie(
        f"oauth2-{flow.state}", "1", max_age=FLOW_LIFETIME, path="/", httponly=True, samesite="Lax"
    )
    return response


def session_of(sandbox: Sandbox, query: Mapping[str, str]) -> Session:
    """Give the session that a query presents.

    Raises:
        NangoError: 401, also for the older way with a public key.

    """
    token = query.get("connect_session_token")
    if token is None:
        public_key = query.get("public_key")
        if public_key is None:
            raise unauthenticated("missing_public_key")
        if not UUID4.match(public_key):
            raise unauthenticated("invalid_public_key")
        deprecated = (
            "Public key authentication is deprecated. Please use connect session authentication instead."
        )
        raise NangoError(401, "deprecated_authentication", deprecated)
    if not SESSION_TOKEN.match(token):
        raise unauthenticated("invalid_connect_session_token_format")
    session = sandbox.sessions.get(token)
    if session is None or session.expires_at <= time.time():
        raise unauthenticated("unknown_connect_session_token")
    return session


def nested(query: Mapping[str, str], name: str) -> dict[str, str]:
    """Read `name[key]=value` parameters."""
    return {
        key[len(name) + 1 : -1]: value
        for key, value in query.items()
        if key.startswith(f"{name}[") and key.endswith("]")
    }


def _flow(sandbox: Sandbox, integration: Integration, session: Session, params: dict[str, str]) -> Flow:
    defaults: dict[str, Any] = session.defaults.get(integration.unique_key, {})
    return Flow(
        state=str(uuid.uuid1()),
        session=session.token,
        integration=integration.unique_key,
        connection_id=session.connection_id or str(uuid.uuid4()),
        code_verifier=secrets.token_urlsafe(48),
        redirect_uri=sandbox.settings.callback_url,
        connection_config=params | defaults.get("connection_config", {}),
        expires_at=time.time() + FLOW_LIFETIME,
    )


def _authorization_url(
    sandbox: Sandbox, integration: Integration, session: Session, flow: Flow, query: Mapping[str, str]
) -> str:
    defaults: dict[str, Any] = session.defaults.get(integration.unique_key, {})
    scopes = flow.connection_config.get("oauth_scopes_override") or integration.scopes
    parameters: dict[str, Any] = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": flow.redirect_uri,
        "scope": str(scopes).replace(",", " "),
        "state": flow.state,
    }
    parameters |= integration.authorization_params
    parameters |= {"code_challenge": challenge_of(flow.code_verifier), "code_challenge_method": "S256"}
    # The real page of such a provider lives under the account's own host name.
    parameters |= {key: flow.connection_config[key] for key in integration.required_config}
    if defaults.get("user_scopes"):
        parameters["user_scope"] = defaults["user_scopes"].replace(",", " ")
    parameters |= nested(query, "authorization_params") | defaults.get("authorization_params", {})
    base = f"{sandbox.settings.public_url}/sandbox/{integration.unique_key}/authorize"
    return f"{base}?{urlencode(parameters)}"
