"""What our key may do at Nango, found out without doing any of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from domain.errors import DomainError, GatewayRefused
from domain.provider import Identity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from application.ports import AuthGateway

NO_INTEGRATION = "connections-doctor-none"
"""A name that no integration has: Nango looks at the key's scopes first, and then finds nothing to do."""

NO_GRANT = "00000000-0000-4000-8000-000000000000"


async def missing_scopes(gateway: AuthGateway) -> Sequence[str]:
    """Name the scopes that the key lacks; only a Nango with scoped API keys has any."""
    none = {"attempt": NO_GRANT}
    calls: dict[str, Awaitable[object]] = {
        "connections:list": gateway.any_grant(none),
        "connections:read_credentials": gateway.fetch(NO_INTEGRATION, NO_GRANT, refresh=True),
        "connections:create": gateway.import_credentials(
            integration=NO_INTEGRATION,
            nango_id=NO_GRANT,
            kind="API_KEY",
            credentials={"apiKey": "none"},
            connection_config={},
            tags=none,
        ),
        "connections:delete": gateway.delete(NO_INTEGRATION, NO_GRANT),
        "connect_sessions:write": gateway.open_session(
            integration=NO_INTEGRATION,
            tags=none,
            connection_config={},
            authorization_params={},
            reconnect=None,
        ),
        "proxy": gateway.call_provider(NO_INTEGRATION, NO_GRANT, Identity(path="/"), base_url=None),
    }
    allowed = await asyncio.gather(*(_allowed(call) for call in calls.values()))
    return [scope for scope, may in zip(calls, allowed, strict=True) if not may]


async def _allowed(call: Awaitable[object]) -> bool:
    try:
        await call
    except GatewayRefused:
        return False
    except DomainError:
        return True  # as it should be: there is no such thing
    return True
