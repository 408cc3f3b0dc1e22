"""Every endpoint, in every situation in which a caller may come to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define, field

from adapters.sandbox.webhooks import signatures
from tests.chaos.cluster import WEBHOOK_KEY
from tests.e2e.journeys import APP, Answer, Browser, Company, Nango, connect, with_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Prepare = Callable[["Case"], Awaitable[None]]
    Act = Callable[["Case", str], Awaitable[Answer]]

AUTH = "slack"
INTEGRATION = "slack"


@define(eq=False)
class Case:
    """One endpoint in one situation, with a company of its own. `id` is the connection it is about."""

    company: Company
    browser: Browser
    nango: Nango
    id: str = ""
    callback: str = ""
    given: dict[str, Any] = field(factory=dict)

    @property
    def path(self) -> str:
        """The connection's."""
        return f"/connections/{self.id}"


# ── situations ────────────────────────────────────────────────────────────────────────────────────────


async def nothing(_: Case) -> None:
    """Have nothing yet."""


async def active(case: Case) -> None:
    """Have an active connection."""
    case.id = await connect(case.company, case.browser, AUTH)


async def pending(case: Case) -> None:
    """Have one that waits for its user."""
    case.id = (await case.company.auth_url(AUTH)).data["connectionId"]


async def in_error(case: Case) -> None:
    """Have one whose account was revoked, and was seen to be."""
    await active(case)
    await _revoked(case)
    await case.company.post(f"{case.path}/verify")


async def revoked(case: Case) -> None:
    """Have one whose account was revoked without anybody's noticing."""
    await active(case)
    await _revoked(case)


async def gone(case: Case) -> None:
    """Have one that somebody has deleted at Nango."""
    await active(case)
    await case.nango.act("forget", await case.nango.id_of(case.id))


async def disconnected(case: Case) -> None:
    """Have one that was disconnected."""
    await active(case)
    await case.company.post(f"{case.path}/disconnect")


async def by_key(case: Case) -> None:
    """Have one with an API key."""
    body = {"name": "By key", "provider": "stripe", "credentials": {"apiKey": f"canary-{case.company.id}"}}
    answer = await case.company.post("/connections", body)
    assert answer.status == 201, answer.body
    case.id = answer.data["id"]


async def consented(case: Case) -> None:
    """Have a user who comes back with the provider's consent."""
    started = (await case.company.auth_url(AUTH)).data
    case.id, case.callback = started["connectionId"], await case.browser.consent(started["authUrl"])


async def denied(case: Case) -> None:
    """Have a user who comes back without it."""
    started = (await case.company.auth_url(AUTH)).data
    case.id = started["connectionId"]
    case.callback = await case.browser.consent(started["authUrl"], decision="deny")


async def consented_again(case: Case) -> None:
    """Have a user who comes back for a connection in error."""
    await in_error(case)
    started = (await case.company.auth_url(AUTH)).data
    case.callback = await case.browser.consent(started["authUrl"])


async def done_at_nango(case: Case) -> None:
    """Have a session that a front end has run to its end at Nango."""
    await pending(case)
    opened = await case.company.post(f"{case.path}/connect-session")
    start = with_query(
        f"{case.nango.url}/oauth/connect/{INTEGRATION}", connect_session_token=opened.data["token"]
    )
    callback = await case.browser.consent((await case.browser.visit(start)).location)
    await case.browser.visit((await case.browser.visit(callback)).location)


async def _revoked(case: Case) -> None:
    await case.nango.act("revoke", await case.nango.id_of(case.id))


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────────


async def auth_url(case: Case, base: str) -> Answer:
    return await case.company.at(base).auth_url(AUTH)


async def create(case: Case, base: str) -> Answer:
    return await case.company.at(base).post("/connections", {"name": "New", "provider": AUTH})


async def create_once(case: Case, base: str) -> Answer:
    body = {"name": "Once", "provider": AUTH, "redirectUrl": APP}
    return await case.company.at(base).post("/connections", body, Idempotency_Key="once")


async def create_by_key(case: Case, base: str) -> Answer:
    body = {"name": "By key", "provider": "stripe", "credentials": {"apiKey": f"canary-{case.company.id}"}}
    return await case.company.at(base).post("/connections", body)


async def create_by_key_once(case: Case, base: str) -> Answer:
    body = {"name": "By key", "provider": "stripe", "credentials": {"apiKey": f"canary-{case.company.id}"}}
    return await case.company.at(base).post("/connections", body, Idempotency_Key="once")


async def reauthorize(case: Case, base: str) -> Answer:
    return await case.company.at(base).post(f"{case.path}/reauthorize", {"redirectUrl": APP})


async def replace_key(case: Case, base: str) -> Answer:
    body = {"credentials": {"apiKey": f"canary-new-{case.company.id}"}}
    return await case.company.at(base).post(f"{case.path}/reauthorize", body)


async def connect_session(case: Case, base: str) -> Answer:
    return await case.company.at(base).post(f"{case.path}/connect-session")


async def come_back(case: Case, base: str) -> Answer:
    return await case.browser.visit(case.callback, at=base)


async def report(case: Case, base: str) -> Answer:
    url = f"{base}/api/v1/connections/{AUTH}/callback"
    return await case.browser.visit(with_query(url, connectionId=case.id, success="true"))


async def verify(case: Case, base: str) -> Answer:
    return await case.company.at(base).post(f"{case.path}/verify")


async def refresh(case: Case, base: str) -> Answer:
    return await case.company.at(base).post(f"{case.path}/refresh")


async def rename(case: Case, base: str) -> Answer:
    return await case.company.at(base).call("PATCH", case.path, json={"name": "Renamed"})


async def disconnect(case: Case, base: str) -> Answer:
    return await case.company.at(base).post(f"{case.path}/disconnect")


async def delete(case: Case, base: str) -> Answer:
    return await case.company.at(base).delete(case.path)


async def webhook(case: Case, base: str) -> Answer:
    held = await case.nango.of(case.id)
    return await tell(case, base, held[0])


async def tell(case: Case, base: str, held: Mapping[str, Any]) -> Answer:
    """Send Nango's webhook for a connection that it has, or had."""
    body = json.dumps(
        {
            "type": "auth",
            "operation": "creation",
            "success": True,
            "connectionId": held["connection_id"],
            "providerConfigKey": INTEGRATION,
            "tags": held["tags"],
        }
    ).encode()
    headers = {"X-Nango-Hmac-Sha256": signatures(WEBHOOK_KEY, body)["X-Nango-Hmac-Sha256"]}
    url = urlsplit(base)._replace(path="/api/v1/webhooks/nango").geturl()
    async with case.company.session.post(url, data=body, headers=headers) as response:
        return Answer(response.status, response.headers, await response.read())


@define(frozen=True)
class Endpoint:
    """A way to call an endpoint, and what a repetition may be answered once everything is settled."""

    prepare: Prepare
    act: Act
    again: frozenset[int]
    made: int = 0
    """How many connections the repetition may leave beside the one it is about."""


def _of(prepare: Prepare, act: Act, *again: int, made: int = 0) -> Endpoint:
    return Endpoint(prepare, act, frozenset(again or (200,)), made)


CORE = (
    "auth-url, the first",
    "create, Idempotency-Key",
    "create with credentials, Idempotency-Key",
    "reauthorize after an error",
    "reauthorize with credentials",
    "connect-session",
    "callback, consented",
    "callback of the reference",
    "verify, revoked",
    "refresh",
    "rename",
    "disconnect",
    "delete",
    "webhook",
)
"""Every endpoint once."""

ENDPOINTS: Mapping[str, Endpoint] = {
    "auth-url, the first": _of(nothing, auth_url, made=1),
    "auth-url, again": _of(pending, auth_url, made=1),
    "auth-url, after an error": _of(in_error, auth_url),
    "auth-url, after a disconnect": _of(disconnected, auth_url),
    "create": _of(nothing, create, 201, made=2),
    "create, Idempotency-Key": _of(nothing, create_once, 201, made=1),
    "create with credentials": _of(nothing, create_by_key, 201, made=2),
    "create with credentials, Idempotency-Key": _of(nothing, create_by_key_once, 201, made=1),
    "reauthorize after an error": _of(in_error, reauthorize),
    "reauthorize after a disconnect": _of(disconnected, reauthorize),
    "reauthorize with credentials": _of(by_key, replace_key),
    "connect-session": _of(pending, connect_session, 201),
    "callback, consented": _of(consented, come_back, 303),
    "callback, consented again": _of(consented_again, come_back, 303),
    "callback, denied": _of(denied, come_back, 303),
    "callback of the reference": _of(done_at_nango, report, 200, 303),
    "verify": _of(active, verify),
    "verify, revoked": _of(revoked, verify),
    "verify, gone": _of(gone, verify),
    "refresh": _of(active, refresh),
    "refresh, revoked": _of(revoked, refresh, 500),
    "rename": _of(active, rename),
    "disconnect": _of(active, disconnect),
    "disconnect while pending": _of(consented, disconnect),
    "delete": _of(active, delete, 200, 404),
    "delete while pending": _of(consented, delete, 200, 404),
    "webhook": _of(done_at_nango, webhook),
}
