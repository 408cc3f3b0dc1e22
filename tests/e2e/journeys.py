"""Whoever takes part in a journey: a company's program, its user's browser, and Nango behind the scenes."""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import aiohttp

APP = "https://app.example.com/settings/connections"
NEEDED: Mapping[str, Mapping[str, str]] = {"netsuite": {"accountId": "1234567_SB1"}}
"""What a user has to say before authorizing."""

_FORM = re.compile(r'<form[^>]*action="([^"]*)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


@frozen
class Answer:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        assert self.json["success"] is True, self.body
        return self.json["data"]

    @property
    def error(self) -> Any:
        assert self.json["success"] is False, self.body
        return self.json["error"]

    @property
    def location(self) -> str:
        return self.headers["Location"]


async def ask(session: aiohttp.ClientSession, method: str, url: str, **how: Any) -> Answer:
    async with session.request(method, url, allow_redirects=False, **how) as response:
        return Answer(response.status, response.headers, await response.read())


def result_in(location: str) -> dict[str, str]:
    """Read what an app reads off the address its user comes back to."""
    assert location.startswith(APP), location
    return dict(parse_qsl(urlsplit(location).query))


async def eventually(look: Callable[[], Awaitable[bool]], *, within: float = 30.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + within
    while not await look():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.05)


@frozen(kw_only=True)
class Company:
    """A program that calls the API with a company's key."""

    session: aiohttp.ClientSession
    base: str
    key: str
    id: str

    def at(self, base: str) -> Company:
        """Give the same caller at another process."""
        return evolve(self, base=base)

    async def call(self, method: str, path: str, *, headers: Mapping[str, str] = {}, **how: Any) -> Answer:
        return await ask(
            self.session,
            method,
            f"{self.base}/api/v1{path}",
            headers={"x-api-key": self.key, **headers},
            **how,
        )

    async def get(self, path: str, **query: str) -> Answer:
        return await self.call("GET", path, params=query)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {} if body is None else {"json": body}
        return await self.call(
            "POST", path, headers={name.replace("_", "-"): value for name, value in headers.items()}, **sent
        )

    async def delete(self, path: str) -> Answer:
        return await self.call("DELETE", path)

    async def auth_url(self, provider: str, *, redirect_url: str | None = APP) -> Answer:
        query = {**NEEDED.get(provider, {})}
        if redirect_url is not None:
            query["redirectUrl"] = redirect_url
        return await self.get(f"/connections/{provider}/auth-url", **query)

    async def status_of(self, connection_id: str) -> str:
        return str((await self.get(f"/connections/{connection_id}")).data["status"])

    async def events_of(self, connection_id: str) -> list[str]:
        return [fact["type"] for fact in (await self.get(f"/connections/{connection_id}/events")).data]


@frozen
class Browser:
    """A user in front of a browser, who keeps cookies."""

    session: aiohttp.ClientSession

    async def consent(self, url: str, *, decision: str = "authorize", account: str = "first") -> str:
        """Decide on the provider's page; give the address that the provider sends the browser to."""
        page = (await ask(self.session, "GET", url)).body.decode()
        form = _FORM.search(page)
        assert form, page
        fields = {name: html.unescape(value) for name, value in _HIDDEN.findall(page)}
        fields |= {"decision": decision, "account": account}
        answer = await ask(self.session, "POST", urljoin(url, html.unescape(form[1])), data=fields)
        assert answer.status == 303, answer.body
        return answer.location

    async def visit(self, url: str, *, at: str | None = None, page: bool = False) -> Answer:
        """Open an address, or the same one at another process, without following where it leads."""
        headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"} if page else {}
        parts = urlsplit(url)
        if at is not None:
            there = urlsplit(at)
            url = parts._replace(scheme=there.scheme, netloc=there.netloc).geturl()
        return await ask(self.session, "GET", url, headers=headers)

    async def authorize(self, url: str, **how: str) -> Answer:
        """Go all the way: consent, and back to us."""
        return await self.visit(await self.consent(url, **how))


async def connect(company: Company, browser: Browser, provider: str = "stripe") -> str:
    """Connect an account; give our connection's id."""
    started = (await company.auth_url(provider)).data
    back = await browser.authorize(started["authUrl"])
    assert result_in(back.location).get("success") == "true", back.location
    return str(started["connectionId"])


@frozen
class Nango:
    """Nango's side, to look at and to make things go wrong."""

    session: aiohttp.ClientSession
    url: str

    async def _control(self, method: str, path: str, **how: Any) -> Any:
        answer = await ask(self.session, method, f"{self.url}/sandbox/control{path}", **how)
        assert answer.status < 300, answer.body
        return answer.json

    async def fail(self, target: str, kind: str | None = None, **where: Any) -> None:
        await self._control("POST", "/faults", json={"target": target, "kind": kind, **where})

    async def linger(self, integration: str, seconds: float) -> None:
        """Let the provider's next token answer take its time; see `is_exchanging`."""
        await self.fail("token_endpoint", delay=seconds, integration=integration, times=1)

    async def is_exchanging(self) -> bool:
        """Whether Nango has begun to wait for the token answer that lingers: the fault is used up then."""
        return not (await self._control("GET", "/faults"))["faults"]

    async def heal(self) -> None:
        await self._control("DELETE", "/faults")

    async def set(self, **settings: Any) -> None:
        await self._control("PATCH", "/settings", json=settings)

    async def act(self, action: str, nango_id: str) -> None:
        await self._control("POST", f"/connections/{nango_id}/{action}")

    async def of(self, connection_id: str) -> list[Any]:
        """Give what Nango holds for one of our connections."""
        everything = (await self._control("GET", "/connections"))["connections"]
        return [
            each
            for each in everything
            if not each["deleted"] and each["tags"].get("connection") == connection_id
        ]

    async def id_of(self, connection_id: str) -> str:
        [held] = await self.of(connection_id)
        return str(held["connection_id"])

    async def calls(self) -> Mapping[str, int]:
        """Count what was asked of it since the test began."""
        counts: Mapping[str, int] = (await self._control("GET", "/calls"))["counts"]
        return counts

    async def calls_on(self, connection_id: str) -> int:
        """Count what was asked of it about one connection since the test began."""
        return len((await self._control("GET", f"/calls?connection_id={connection_id}"))["calls"])

    async def forget_calls(self) -> None:
        await self._control("DELETE", "/calls")


def with_query(url: str, **query: str) -> str:
    return f"{url}?{urlencode(query)}"
