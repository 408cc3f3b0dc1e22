"""Connections: list, get, patch, delete.

Source: Nango 0.71.4, observed (recorded as connections, list, refresh, patch, delete).
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import evolve

from adapters.sandbox import present
from adapters.sandbox.checks import Field, check_object, check_query, check_tags, read_json, unrecognized
from adapters.sandbox.errors import NangoError, connection_not_found, invalid, issue
from adapters.sandbox.oauth import nested
from adapters.sandbox.people import END_USER, end_user_of, tags_of
from adapters.sandbox.refresh import RefreshRefused, fresh
from adapters.sandbox.sandbox import SANDBOX

if TYPE_CHECKING:
    from adapters.sandbox.model import Connection

MAX_LIMIT, DEFAULT_LIMIT = 2000, 1000
SHOWN_PATTERN = r"""/^[a-zA-Z0-9,.;:=+~[\]|@${}"'\\/_ -]+$/"""
CONNECTION_ID = re.compile(r"""^[a-zA-Z0-9,.;:=+~\[\]|@${}"'\\/_ -]+$""")
LIST_KEYS = (
    "connectionId",
    "search",
    "endUserId",
    "endUserOrganizationId",
    "integrationId",
    "limit",
    "page",
)
PATCH = {"tags": Field("object"), "end_user": Field("object"), "webhook_url_override": Field("string")}


async def list_connections(request: web.Request) -> web.Response:
    """List connections, newest first. No provider is asked; `errors` says what refreshes met."""
    sandbox, query = request.app[SANDBOX], request.query
    tags = {key.lower(): value for key, value in nested(query, "tags").items()}
    known = {*LIST_KEYS, *(f"tags[{key}]" for key in nested(query, "tags"))}
    issues = unrecognized(key for key in dict.fromkeys(query) if key not in known)
    limit = _number(query.get("limit"), "limit", DEFAULT_LIMIT, 1, MAX_LIMIT, issues)
    page = _number(query.get("page"), "page", 0, 0, None, issues)
    if issues:
        raise invalid("invalid_query_params", *issues)
    found = [each for each in sandbox.live_connections() if _matches(each, query, tags)]
    shown = found[page * limit : (page + 1) * limit]
    items = [present.listed(each, sandbox.integration_of(each)) for each in shown]
    return web.json_response({"connections": items})


async def get_connection(request: web.Request) -> web.Response:
    """Show a connection with credentials that are good for a while, refreshed where that is due or forced."""
    sandbox = request.app[SANDBOX]
    connection_id = _connection_id(request)
    query = check_query(request, ["provider_config_key"], ["force_refresh", "refresh_token"])
    name = query["provider_config_key"]
    integration = sandbox.integrations.get(name)
    if integration is None:
        raise NangoError(400, "unknown_provider_config", "Provider does not exists")
    connection = sandbox.connection(name, connection_id)
    if connection is None:
        raise connection_not_found()
    try:
        await fresh(sandbox, connection, force=query.get("force_refresh") == "true")
    except RefreshRefused as refusal:
        payload = {"connection": present.single(refusal.connection, integration, {})}
        raise NangoError(refusal.status, "invalid_credentials", refusal.message, payload=payload) from refusal
    # Somebody may have deleted it while the provider thought about the refresh.
    current = sandbox.connection(name, connection_id)
    if current is None:
        raise connection_not_found()
    connection = sandbox.store(evolve(current, last_fetched_at=time.time()))
    credentials = present.credentials_of(connection, with_refresh_token=query.get("refresh_token") == "true")
    return web.json_response(present.single(connection, integration, credentials))


async def patch_connection(request: web.Request) -> web.Response:
    """Change tags, end user or webhook override. Either of the first two replaces all tags."""
    sandbox, body = request.app[SANDBOX], await read_json(request)
    query = check_query(request, ["provider_config_key"])
    issues = check_object(body, PATCH) + check_tags(body.get("tags"))
    if not issues and "end_user" in body:
        issues = check_object(body["end_user"], END_USER, "end_user")
    if issues:
        raise invalid("invalid_body", *issues)
    connection = sandbox.connection(query["provider_config_key"], _connection_id(request))
    if connection is None:
        raise connection_not_found()
    changed: dict[str, Any] = {}
    end_user = end_user_of(body)
    if "tags" in body or end_user:
        changed["tags"] = tags_of(body, end_user)
    if end_user:
        changed["end_user"] = end_user
    if "webhook_url_override" in body:
        changed["webhook_url_override"] = body["webhook_url_override"]
    sandbox.store(evolve(connection, **changed))
    return web.json_response({"success": True})


async def delete_connection(request: web.Request) -> web.Response:
    """Delete a connection, softly; the provider is not told. Once only: again is 400."""
    sandbox = request.app[SANDBOX]
    query = check_query(request, ["provider_config_key"])
    connection = sandbox.connection(query["provider_config_key"], _connection_id(request))
    if connection is None:
        raise NangoError(400, "unknown_connection")
    sandbox.store(evolve(connection, deleted=True))
    return web.json_response({"success": True})


def _connection_id(request: web.Request) -> str:
    connection_id = request.match_info["connection_id"]
    if not CONNECTION_ID.match(connection_id):
        wrong = f"Invalid string: must match pattern {SHOWN_PATTERN}"
        raise invalid("invalid_uri_params", issue("invalid_format", wrong, "connectionId"))
    return connection_id


def _number(
    text: str | None, name: str, default: int, least: int, most: int | None, issues: list[dict[str, Any]]
) -> int:
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        issues.append(issue("invalid_type", "Invalid input: expected number, received NaN", name))
        return default
    if number < least:
        issues.append(issue("too_small", f"Too small: expected number to be >={least}", name))
    elif most is not None and number > most:
        issues.append(issue("too_big", f"Too big: expected number to be <={most}", name))
    return number


def _matches(connection: Connection, query: Any, tags: dict[str, str]) -> bool:
    end_user = connection.end_user or {}
    organization = end_user.get("organization") or {}
    wanted = {
        "connectionId": connection.connection_id,
        "endUserId": end_user.get("id"),
        "endUserOrganizationId": organization.get("id"),
    }
    return (
        all(connection.tags.get(key) == value for key, value in tags.items())
        and all(query[name] == value for name, value in wanted.items() if name in query)
        and ("integrationId" not in query or connection.integration in query["integrationId"].split(","))
        and ("search" not in query or _found(connection, query["search"]))
    )


def _found(connection: Connection, text: str) -> bool:
    end_user = connection.end_user or {}
    words = (connection.connection_id, end_user.get("display_name"), end_user.get("email"))
    return any(text.lower() in word.lower() for word in words if word)
