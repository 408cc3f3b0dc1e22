"""How Nango shows a connection.

Source: Nango 0.71.4, observed. Lists say `created`, single connections `created_at` with an offset, imports
the same with a Z; refresh tokens are shown on request only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.sandbox.model import Connection, Integration


def offset_time(moment: float) -> str:
    """Write a time as most of Nango's answers do: milliseconds and +00:00."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def list_time(moment: float) -> str:
    """Write a time as lists do: the fraction without its trailing zeros."""
    whole, _, fraction = offset_time(moment).removesuffix("+00:00").partition(".")
    digits = fraction.rstrip("0")
    return f"{whole}.{digits}+00:00" if digits else f"{whole}+00:00"


def zulu_time(moment: float) -> str:
    """Write a time as tokens and imports have it: milliseconds and Z."""
    return offset_time(moment).replace("+00:00", "Z")


def listed(connection: Connection, integration: Integration) -> dict[str, Any]:
    """Show a connection as an item of a list, without credentials."""
    return _head(connection, integration) | {
        "metadata": connection.metadata,
        "created": list_time(connection.created_at),
    }


def single(connection: Connection, integration: Integration, credentials: dict[str, Any]) -> dict[str, Any]:
    """Show one connection with these credentials."""
    return _head(connection, integration) | {
        "metadata": connection.metadata,
        "connection_config": connection.connection_config,
        "webhook_url_override": connection.webhook_url_override,
        "created_at": offset_time(connection.created_at),
        "updated_at": offset_time(connection.updated_at),
        "last_fetched_at": offset_time(connection.last_fetched_at),
        "credentials": credentials,
    }


def credentials_of(connection: Connection, *, with_refresh_token: bool) -> dict[str, Any]:
    """Show credentials, the refresh token only where it is asked for."""
    hidden = set() if with_refresh_token else {"refresh_token"}
    shown: dict[str, Any] = {
        key: zulu_time(value) if key == "expires_at" else value
        for key, value in connection.credentials.items()
        if value is not None and key not in hidden
    }
    if "raw" in shown:
        shown["raw"] = {key: value for key, value in shown["raw"].items() if key not in hidden}
    return shown


def _head(connection: Connection, integration: Integration) -> dict[str, Any]:
    return {
        "id": connection.id,
        "connection_id": connection.connection_id,
        "provider_config_key": connection.integration,
        "provider": integration.template,
        "errors": connection.errors,
        "end_user": connection.end_user,
        "tags": connection.tags,
    }
