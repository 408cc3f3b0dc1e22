"""Start a flow at Nango that nobody will finish, to see what a user would meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.provider import ParameterTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.ports import AuthGateway, Flow
    from domain.provider import OAuth

NOBODY = "doctor"
"""Stands in the tags for connection, company and attempt: a flow that somebody finished would be nobody's."""


async def try_flow(
    gateway: AuthGateway, oauth: OAuth, parameters: Mapping[str, str], deployment: str | None
) -> Flow:
    """Open a session with tags like ours and start its flow; nothing is left but a session that expires.

    Raises:
        IntegrationMissing, GatewayUnavailable, GatewayNonsense: see the port.

    """
    targets = oauth.by_target(parameters)
    tags = {"connection": NOBODY, "company": NOBODY, "attempt": NOBODY, "deployment": deployment or NOBODY}
    session = await gateway.open_session(
        integration=oauth.integration,
        tags=tags,
        connection_config=targets[ParameterTarget.CONNECTION_CONFIG],
        authorization_params=targets[ParameterTarget.AUTHORIZATION_PARAMS],
        reconnect=None,
    )
    return await gateway.start_flow(oauth.integration, session)
