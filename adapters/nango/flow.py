"""The first step of an OAuth flow at Nango, taken in the browser's place."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from adapters.nango.failures import failure
from application.ports import Flow
from domain.errors import GatewayNonsense, GatewayUnavailable, IntegrationMissing

if TYPE_CHECKING:
    from adapters.nango.client import Answer
    from domain.errors import DomainError

MAX_LOCATION = 8192
MAX_STATE = 512
_UNKNOWN = b"Could not find a Provider Config matching"
_UNFINISHED = b"is missing client ID, secret and/or scopes"
_MORE_WANTED = b"Missing Connection Config param(s)"


def read_flow(answer: Answer, integration: str) -> Flow:
    """Read the redirect to the provider: where to, which state, and the cookie that belongs to it.

    Raises:
        IntegrationMissing: the integration does not exist or is not set up.
        GatewayUnavailable: Nango is down, limits us, or has forgotten the session.
        GatewayNonsense: not a redirect to a web page with one state; our own must stand in its place.

    """
    if answer.status != 302:  # noqa: PLR2004 - HTTP
        raise _not_begun(answer, integration)
    location = answer.headers.get("Location", "")
    query = _query_of(location)
    states = query.get("state", [])
    if not states:
        # Nango then keeps it elsewhere: in what was pushed (RFC 9126), or in OAuth 1.0a's callback URL.
        raise GatewayNonsense(
            "The provider's authorization URL carries no state (it speaks OAuth 1.0a, or wants pushed "
            "authorization requests): Connections cannot authorize such a provider."
        )
    if len(states) != 1 or not 0 < len(states[0]) <= MAX_STATE:
        raise GatewayNonsense("Nango began a flow without a state.")
    cookie = _cookie(answer, f"oauth2-{states[0]}")
    # Both are kept and sent back to Nango: neither a database nor a header takes everything.
    if not _visible(states[0]) or not _visible(cookie):
        raise GatewayNonsense("Nango began a flow that cannot be kept.")
    return Flow(
        authorization_url=location,
        redirect_uri=query.get("redirect_uri", [None])[0],
        state=states[0],
        cookie=cookie,
    )


def _not_begun(answer: Answer, integration: str) -> DomainError:
    if answer.status == 401:  # noqa: PLR2004 - HTTP
        return GatewayUnavailable("Nango does not accept the session it gave. Try again.")
    if answer.status == 400:  # noqa: PLR2004 - HTTP
        # These come as an HTML page; the page escapes quotes, so only parts without any are sought.
        if _UNKNOWN in answer.body or _UNFINISHED in answer.body:
            return IntegrationMissing(integration, unfinished=_UNFINISHED in answer.body)
        if _MORE_WANTED in answer.body:
            return GatewayNonsense(
                f"Nango's integration {integration!r} wants to know more before it starts a flow: the "
                "provider's file must ask for it, with [[oauth.parameters]]."
            )
    return failure(answer, integration=integration)


def _visible(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _query_of(location: str) -> dict[str, list[str]]:
    """Give the query of an absolute http or https address; some pages keep it in their fragment."""
    wrong = GatewayNonsense("Nango began a flow that leads nowhere.")
    if len(location) > MAX_LOCATION or not _visible(location) or " " in location:
        raise wrong
    try:
        parts = urlsplit(location)
        asked = parts.query or parts.fragment.partition("?")[2]
        query = parse_qs(asked, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        parts, query = urlsplit(""), {}
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong
    return query


def _cookie(answer: Answer, name: str) -> str:
    """Give `name=value` as Nango set it; empty where it set none (it asks for it only behind a flag)."""
    for header in answer.headers.getall("Set-Cookie", ()):
        pair = header.partition(";")[0].strip()
        if pair.partition("=")[0] == name:
            return pair
    return ""
