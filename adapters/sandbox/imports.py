"""Import: `POST /connections` puts existing credentials into Nango.

Source: Nango 0.71.4, observed (recorded as import and as delete-07). The same id overrides: tags, metadata
and connection_config are reset. Credentials are tried at the provider only for integrations that have a
verification there.
"""

from __future__ import annotations

import re
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import evolve

from adapters.sandbox import present
from adapters.sandbox.accounts import FIRST, SECOND
from adapters.sandbox.checks import Field, check_object, check_tags, read_json
from adapters.sandbox.errors import NangoError, invalid, issue
from adapters.sandbox.model import Connection, connection_key
from adapters.sandbox.people import END_USER, end_user_of, tags_of
from adapters.sandbox.sandbox import SANDBOX, bearer

if TYPE_CHECKING:
    from adapters.sandbox.model import Integration
    from adapters.sandbox.sandbox import Sandbox

BODY = {
    "provider_config_key": Field("string", required=True),
    "credentials": Field("object", required=True),
    "connection_id": Field("string"),
    "metadata": Field("object"),
    "connection_config": Field("object"),
    "tags": Field("object"),
    "end_user": Field("object"),
    "webhook_url_override": Field("string"),
}
LONGEST_KEY = 1024
"""Not observed, but so in Nango's source (`validation.ts`)."""
CREDENTIALS: dict[str, dict[str, Field]] = {
    "OAUTH2": {
        "access_token": Field("string", required=True),
        "refresh_token": Field("string"),
        "expires_at": Field("string"),
        "no_expiration": Field("boolean"),
    },
    "API_KEY": {"apiKey": Field("string", required=True, longest=LONGEST_KEY)},
    "BASIC": {
        "username": Field("string", required=True, longest=LONGEST_KEY),
        "password": Field("string", longest=LONGEST_KEY),
    },
    "TBA": {
        "token_id": Field("string", required=True),
        "token_secret": Field("string", required=True),
        "config_override": Field("object"),
    },
}
BAD_KEY = re.compile(r"(^|[-_])(bad|dead|revoked)([-_]|$)")
"""Credentials that the sandbox's providers refuse."""
SECOND_KEY = re.compile(r"(^|[-_])second([-_]|$)")
"""Credentials that open the second account; all others open the first."""
REFUSED = "The given credentials were found to be invalid. Please check the credentials and try again."


async def import_connection(request: web.Request) -> web.Response:
    """Store imported credentials as a connection: 201, with everything in the answer."""
    sandbox, body = request.app[SANDBOX], await read_json(request)
    issues = check_object(body, BODY) + check_tags(body.get("tags"))
    if not issues and "end_user" in body:
        issues = check_object(body["end_user"], END_USER, "end_user")
    if issues:
        raise invalid("invalid_body", *issues)
    integration = sandbox.integrations.get(body["provider_config_key"])
    if integration is None:
        raise NangoError(404, "not_found", "Integration does not exist")
    credentials = _credentials(integration, body["credentials"])
    if integration.tested and BAD_KEY.search(bearer(credentials)):
        raise NangoError(400, "connection_test_failed", REFUSED)
    connection = _keep(sandbox, integration, body, credentials)
    _adopt(sandbox, integration, credentials)
    answer = present.single(
        evolve(connection, end_user=end_user_of(body)),
        integration,
        present.credentials_of(connection, with_refresh_token=True),
    )
    for name in ("created_at", "updated_at", "last_fetched_at"):
        answer[name] = answer[name].replace("+00:00", "Z")
    return web.json_response(answer, status=201)


def _credentials(integration: Integration, given: dict[str, Any]) -> dict[str, Any]:
    kind = given.get("type")
    if kind not in CREDENTIALS:
        raise invalid("invalid_body", issue("invalid_union", "Invalid input", "credentials", "type"))
    if kind != integration.auth_mode:
        raise NangoError(
            400, "invalid_body", f"Provider {integration.auth_mode} does not support {kind} auth"
        )
    fields = {"type": Field("string", required=True)} | CREDENTIALS[kind]
    issues = check_object(given, fields)
    for wrong in issues:
        wrong["path"] = ["credentials", *[step for step in wrong["path"] if step != "credentials"]]
    if issues:
        raise invalid("invalid_body", *issues)
    if kind != "OAUTH2":
        return dict(given)
    credentials, raw = dict(given), dict(given)
    if "expires_at" in given:
        try:
            expires_at = datetime.fromisoformat(given["expires_at"]).timestamp()
        except ValueError as error:
            wrong = issue("invalid_format", "Invalid ISO datetime", "credentials", "expires_at")
            raise invalid("invalid_body", wrong) from error
        credentials["expires_at"] = expires_at
        raw["expires_at"] = present.zulu_time(expires_at)
    return credentials | {"raw": raw}


def _keep(
    sandbox: Sandbox, integration: Integration, body: dict[str, Any], credentials: dict[str, Any]
) -> Connection:
    now = time.time()
    connection_id = body.get("connection_id") or str(uuid.uuid4())
    end_user = end_user_of(body)
    known = sandbox.connections.get(connection_key(integration.unique_key, connection_id))
    overrides = known is not None and not known.deleted
    if known is not None and overrides:
        # What GET shows as end user survives an override that names none, though the answer shows null.
        base = evolve(known, end_user=end_user or known.end_user, errors=[], refresh_failed_at=None)
    else:
        base = Connection(
            sandbox.next_id(),
            connection_id,
            integration.unique_key,
            credentials,
            created_at=now,
            updated_at=now,
            last_fetched_at=now,
            end_user=end_user,
        )
    connection = sandbox.store(
        evolve(
            base,
            credentials=credentials,
            tags=tags_of(body, end_user),
            metadata=body.get("metadata", {}),
            connection_config=body.get("connection_config", {}),
            webhook_url_override=body.get("webhook_url_override"),
            refresh_failures=[],
            refresh_exhausted=False,
        )
    )
    tell = sandbox.webhooks.overridden if overrides else sandbox.webhooks.created
    tell(integration, connection, by_user=False)
    return connection


def _adopt(sandbox: Sandbox, integration: Integration, credentials: dict[str, Any]) -> None:
    """Let the provider know the credentials, unless they are ones it refuses."""
    key = bearer(credentials)
    if not BAD_KEY.search(key):
        account = SECOND if SECOND_KEY.search(key) else FIRST
        sandbox.authorization_server.adopt(
            integration.unique_key,
            account,
            key,
            credentials.get("expires_at"),
            credentials.get("refresh_token"),
        )
