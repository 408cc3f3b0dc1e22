"""Nango's connections, which are our grants: how they are addressed and read."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from adapters.nango.answers import ConnectionAnswer, ConnectionList
from adapters.nango.failures import success
from application.ports import GrantDetails
from domain.authorization import Grant
from domain.errors import CredentialsUnusable, GatewayNonsense, GrantNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapters.nango.client import Answer

PAGE_SIZE = 1000
MOST_PAGES = 1000
"""A list that goes on for longer is one that does not end: a walk would hold up whoever waits for it."""

MAX_PAGE = 8 * 1024 * 1024
"""Bytes of one page: other applications' connections may carry much metadata, and must not stop a sweep."""


MAX_NAME = 255


def is_name(text: str) -> bool:
    """Whether this can name something of ours: names are kept, looked up, and sent in headers."""
    return 0 < len(text) <= MAX_NAME and text.isascii() and text.isprintable()


def segment(text: str) -> str:
    """Give an id as one segment of a path."""
    return quote(text, safe="")


def address(integration: str, nango_id: str) -> tuple[str, list[tuple[str, str]]]:
    """Give path and query of one connection."""
    return f"/connections/{segment(nango_id)}", [("provider_config_key", integration)]


def with_tags(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Give the query that asks for connections with all of these tags."""
    return [(f"tags[{key}]", value) for key, value in tags.items()]


def has_tags(grant: Grant, tags: Mapping[str, str]) -> bool:
    """Whether a connection has all of these tags; Nango keeps their names in lower case."""
    return {key.lower(): value for key, value in tags.items()}.items() <= grant.tags.items()


def read_page(answer: Answer) -> Sequence[Grant]:
    """Read a page of the list."""
    return [
        Grant(
            nango_id=each.connection_id,
            integration=each.provider_config_key,
            tags=each.tags or {},
            auth_error=any(sign.type == "auth" for sign in each.errors or ()),
        )
        for each in success(answer, ConnectionList).connections
    ]


def read_details(answer: Answer, integration: str, nango_id: str) -> GrantDetails:
    """Read one connection.

    Raises:
        GrantNotFound: gone at Nango.
        IntegrationMissing: Nango has no such integration (any more).
        CredentialsUnusable: Nango could not produce credentials.
        GatewayNonsense: also where it is another connection than was asked for.

    """
    found = success(answer, ConnectionAnswer, integration)
    if (found.provider_config_key, found.connection_id) != (integration, nango_id):
        raise GatewayNonsense("Nango answered with another connection.")
    return GrantDetails(
        connection_config=found.connection_config or {},
        token=found.credentials.raw or {},
        expires_at=found.credentials.end,
    )


def read_presence(answer: Answer, integration: str, nango_id: str) -> bool:
    """Whether one connection is there; credentials that cannot be renewed are there too."""
    try:
        read_details(answer, integration, nango_id)
    except GrantNotFound:
        return False
    except CredentialsUnusable:
        return True
    return True
