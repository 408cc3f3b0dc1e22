"""Every JSON example of the API reference: the requests and the answers, by call and status."""

from __future__ import annotations

from typing import Any

ID = "conn_550e8400-e29b-41d4-a716-446655440000"
STRIPE: dict[str, Any] = {
    "id": ID,
    "name": "Stripe Production",
    "provider": "stripe",
    "status": "active",
    "externalAccountId": "acct_xxx",
    "lastSyncedAt": "2024-01-15T10:30:00.000Z",
    "createdAt": "2024-01-01T10:00:00.000Z",
    "updatedAt": "2024-01-15T10:30:00.000Z",
}
HUBSPOT: dict[str, Any] = {
    "id": "conn_660e8400-e29b-41d4-a716-446655440001",
    "name": "HubSpot CRM",
    "provider": "hubspot",
    "status": "active",
    "externalAccountId": "123456",
    "lastSyncedAt": "2024-01-15T09:00:00.000Z",
    "createdAt": "2024-01-05T10:00:00.000Z",
    "updatedAt": "2024-01-15T09:00:00.000Z",
}
_ONE = "/api/v1/connections/{id}"
_LOOKED = "2024-01-15T10:35:00.000Z"
_VERIFIED = {"connectionId": ID, "provider": "stripe", "checkedAt": _LOOKED}


def _failure(code: str, message: str) -> dict[str, Any]:
    return {"success": False, "error": {"code": code, "message": message}}


def _success(data: Any, **more: Any) -> dict[str, Any]:
    return {"success": True, "data": data, **more}


NEW_CONNECTION = {
    "name": "Production Stripe",
    "provider": "stripe",
    "metadata": {"environment": "production"},
}
ANSWERS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("/api/v1/connections", "get", "200", _success([STRIPE, HUBSPOT], meta={"hasMore": False})),
    (
        "/api/v1/connections/{provider}/auth-url",
        "get",
        "200",
        _success(
            {
                "connectionId": ID,
                "provider": "stripe",
                "authUrl": (
                    "https://connect.stripe.com/oauth/authorize?client_id=xxx&redirect_uri=xxx&state=xxx"
                ),
                "isNew": True,
                "message": "Redirect user to authUrl to complete OAuth authorization",
            }
        ),
    ),
    (
        "/api/v1/connections/{provider}/auth-url",
        "get",
        "400",
        _failure(
            "BAD_REQUEST",
            "Active connection already exists for stripe. Disconnect first to re-authorize.",
        ),
    ),
    (
        "/api/v1/connections/{provider}/callback",
        "get",
        "200",
        _success(
            {
                "connectionId": "conn_xxx",
                "provider": "stripe",
                "status": "active",
                "message": "OAuth authorization completed successfully",
            }
        ),
    ),
    (
        "/api/v1/connections",
        "post",
        "201",
        _success(
            {
                "id": ID,
                "name": "Production Stripe",
                "provider": "stripe",
                "status": "pending",
                "oauthUrl": "https://api.nango.dev/oauth/connect/stripe?connection_id=xxx&public_key=xxx",
                "message": "Redirect user to oauthUrl to complete connection",
            }
        ),
    ),
    (_ONE, "get", "200", _success({**STRIPE, "metadata": {"environment": "production"}})),
    (_ONE, "get", "404", _failure("NOT_FOUND", "Connection not found")),
    (_ONE, "delete", "200", _success({"deleted": True})),
    (
        f"{_ONE}/refresh",
        "post",
        "200",
        _success({"id": ID, "lastSyncedAt": _LOOKED, "message": "Connection refresh completed"}),
    ),
    (
        f"{_ONE}/refresh",
        "post",
        "500",
        _failure("INTERNAL_ERROR", "Failed to refresh credentials: Token expired"),
    ),
    *(
        (f"{_ONE}/verify", "post", "200", _success({**_VERIFIED, **told}))
        for told in (
            {"healthy": True, "status": "active", "externalAccountId": "acct_xxx", "error": None},
            {
                "healthy": False,
                "status": "error",
                "externalAccountId": None,
                "error": "Invalid API key provided",
            },
            {
                "healthy": False,
                "status": "pending",
                "error": "Connection not yet authorized - complete OAuth flow first",
            },
        )
    ),
]
