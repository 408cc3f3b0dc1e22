"""Nango's error answers, as exceptions that the middleware turns into responses.

Source: Nango 0.71.4, observed; the recorded exchanges hold one of each.
"""

from __future__ import annotations

from typing import Any

AUTHENTICATION_FAILED = {
    "missing_auth_header": "The request is missing the Authorization header.",
    "malformed_auth_header": "The Authorization header is malformed.",
    "invalid_secret_key_format": "The provided secret key is not a UUID v4.",
    "unknown_account": "The provided authorization header does not match any account.",
    "missing_public_key": "The request is missing a valid public key parameter.",
    "invalid_public_key": "The provided public key is not a UUID v4.",
    "invalid_connect_session_token_format": (
        "The provided connect session token is not following correct format: nango_connect_session_RANDOM)"
    ),
    "unknown_connect_session_token": "The provided connect session token does not match any account.",
}


class NangoError(Exception):
    """An answer other than success: status and the JSON body `{"error": …}`."""

    def __init__(self, status: int, code: str, message: str | None = None, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"code": code} | ({"message": message} if message else {}) | more}


class FlowRefused(Exception):
    """An OAuth step that Nango refuses with its HTML page instead of JSON."""


def unauthenticated(code: str) -> NangoError:
    """401, with the sentence that Nango has for it."""
    sentence = f"Authentication failed. {AUTHENTICATION_FAILED[code]}"
    return NangoError(401, code, sentence, payload={})


def invalid(code: str, *issues: dict[str, Any]) -> NangoError:
    """400 for a body or a query that does not fit; one issue per fault."""
    return NangoError(400, code, errors=list(issues))


def issue(code: str, message: str, *path: str) -> dict[str, Any]:
    """Describe one fault in a body or a query."""
    return {"code": code, "message": message, "path": list(path)}


def connection_not_found() -> NangoError:
    """404 for a connection id that is not there, or belongs to another integration."""
    return NangoError(404, "not_found", "Failed to find connection")
