"""Connect sessions: `POST /connect/sessions` and `POST /connect/sessions/reconnect`.

Source: Nango 0.71.4, observed (recorded as connect-sessions, reconnect, tags).
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

from adapters.sandbox.checks import Field, check_object, check_tags, read_json
from adapters.sandbox.errors import NangoError, invalid, issue
from adapters.sandbox.model import SESSION_LIFETIME, Session
from adapters.sandbox.people import END_USER, end_user_of, tags_of
from adapters.sandbox.present import zulu_time
from adapters.sandbox.sandbox import SANDBOX

if TYPE_CHECKING:
    from adapters.sandbox.sandbox import Sandbox

TOKEN_PREFIX = "nango_connect_session_"  # noqa: S105 - a prefix, not a secret

_COMMON = {
    "end_user": Field("object"),
    "organization": Field("object"),
    "tags": Field("object"),
    "integrations_config_defaults": Field("object"),
    "overrides": Field("object"),
    "webhook_url_override": Field("string"),
}
CREATE = _COMMON | {"allowed_integrations": Field("array")}
RECONNECT = _COMMON | {
    "connection_id": Field("string", required=True),
    "integration_id": Field("string", required=True),
}


async def create_session(request: web.Request) -> web.Response:
    """Open a session; a connection made with it carries its tags."""
    sandbox, body = request.app[SANDBOX], await read_json(request)
    _check(sandbox, body, CREATE)
    if "tags" not in body and "end_user" not in body:
        wrong = "Invalid input: expected object, received undefined"
        raise invalid("invalid_body", issue("invalid_type", wrong, "end_user"))
    _refuse_docs_override(body)
    allowed = body.get("allowed_integrations")
    return _opened(sandbox, _session(body, allowed_integrations=allowed))


async def create_reconnect_session(request: web.Request) -> web.Response:
    """Open a session for a connection that exists; it keeps its id.

    What is not sent again is wiped when the flow succeeds: tags to `{}`, connection_config too.
    """
    sandbox, body = request.app[SANDBOX], await read_json(request)
    _check(sandbox, body, RECONNECT)
    connection = sandbox.connection(body["integration_id"], body["connection_id"])
    if connection is None:
        raise NangoError(400, "invalid_body", "ConnectionID or IntegrationId does not exists")
    _refuse_docs_override(body)
    session = _session(
        body,
        allowed_integrations=[connection.integration],
        connection_id=connection.connection_id,
    )
    return _opened(sandbox, session)


def _check(sandbox: Sandbox, body: dict[str, Any], fields: dict[str, Field]) -> None:
    issues = check_object(body, fields)
    if not issues and "end_user" in body:
        issues = check_object(body["end_user"], END_USER, "end_user")
    issues += check_tags(body.get("tags"))
    if not issues:
        wrong = "Integration does not exist"
        issues = [
            issue("custom", wrong, "allowed_integrations", str(position))
            for position, name in enumerate(body.get("allowed_integrations", []))
            if name not in sandbox.integrations
        ]
        issues += [
            issue("custom", wrong, "integrations_config_defaults", name)
            for name in body.get("integrations_config_defaults", {})
            if name not in sandbox.integrations
        ]
    if issues:
        raise invalid("invalid_body", *issues)


def _refuse_docs_override(body: dict[str, Any]) -> None:
    if body.get("overrides"):
        raise NangoError(403, "forbidden", "You are not allowed to override the docs connect url")


def _session(body: dict[str, Any], **more: Any) -> Session:
    end_user = end_user_of(body)
    return Session(
        token=TOKEN_PREFIX + secrets.token_hex(32),
        expires_at=time.time() + SESSION_LIFETIME,
        tags=tags_of(body, end_user),
        end_user=end_user,
        defaults=body.get("integrations_config_defaults", {}),
        webhook_url_override=body.get("webhook_url_override"),
        **more,
    )


def _opened(sandbox: Sandbox, session: Session) -> web.Response:
    sandbox.sessions.put(session.token, session)
    data = {
        "token": session.token,
        "connect_link": f"{sandbox.settings.public_url}/?session_token={session.token}",
        "expires_at": zulu_time(session.expires_at),
    }
    return web.json_response({"data": data}, status=201)
