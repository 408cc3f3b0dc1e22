"""Load that remembers what it was told: each user works on a company of its own, one call after the other."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define, field

from tests.chaos.ledger import STANDING, Ledger, Promise
from tests.e2e.journeys import APP, Answer, Browser, result_in

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from tests.chaos.balancer import Balancer

EXPECTED = frozenset({200, 201, 202, 303, 404, 409, 429, 502, 503})
"""What a caller may be answered while things go wrong; everything else is a fault of ours."""

ACTIVE_EXISTS = b"Active connection already exists"

RELOAD_AFTER = 25.0
"""Seconds after which a page is loaded again: sooner, it would only wait for what the worker finds out."""

TRIES = 40
PAUSE = 0.05
WEIGHTS: Mapping[str, int] = {
    "create": 4,
    "auth_url": 3,
    "complete": 8,
    "deny": 1,
    "verify": 3,
    "refresh": 2,
    "rename": 4,
    "read": 6,
    "list": 2,
    "disconnect": 2,
    "delete": 2,
    "reauthorize": 3,
}
KEPT = 12
"""How many connections a user holds before it deletes one."""


@define
class _Return:
    """A browser on its way back from a provider; it loads the page again where it got none."""

    promise: Promise
    callback: str
    decision: str
    at: float = 0.0


@define(eq=False)
class User:
    """A company's program and its user at a browser, as one: never two calls at the same time.

    Args:
        company: its id.
        key: its API key.
        balancer: the way to the service.
        browser: for consent pages.
        ledger: where promises are kept.
        rng: what it does next.
        unanswered: browsers that came back and got no answer yet.
        unexpected: answers that nothing excuses.

    """

    company: str
    key: str
    balancer: Balancer
    browser: Browser
    ledger: Ledger
    rng: random.Random
    mine: dict[str, Promise] = field(factory=dict)
    urls: dict[str, str] = field(factory=dict)
    unanswered: list[_Return] = field(factory=list)
    unexpected: list[str] = field(factory=list)
    _names: int = 0

    async def step(self) -> None:
        """Do one thing."""
        name = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if len(self.mine) >= KEPT:
            name = "delete"
        await getattr(self, f"_{name}")()

    # ── making and authorizing ────────────────────────────────────────────────────────────────────

    async def _create(self) -> None:
        name = self._new_name()
        body = {"name": name, "provider": "hubspot", "metadata": {"seed": name}, "redirectUrl": APP}
        headers = {"Idempotency-Key": name.replace(" ", "-")} if self.rng.random() < 0.5 else {}
        for attempt in range(TRIES):
            answer = await self._call("POST", "/connections", json=body, headers=headers)
            if answer is not None and answer.status == 201:
                self._begun(answer.data["id"], name, answer.data["oauthUrl"], "hubspot")
                return
            if answer is not None and answer.status == 429:
                return
            if not headers:
                self.ledger.uncertain[self.company] += 1
                return
            await asyncio.sleep(PAUSE * attempt)
        self.ledger.uncertain[self.company] += 1

    async def _auth_url(self) -> None:
        query = {"redirectUrl": APP, "connectionName": (name := self._new_name())}
        answer = await self._call("GET", "/connections/slack/auth-url", params=query)
        addressed = [promise for promise in self.mine.values() if promise.provider == "slack"]
        if answer is not None and answer.status == 200:
            promise = self._begun(answer.data["connectionId"], name, answer.data["authUrl"], "slack")
            promise.names = {name}
        elif answer is not None and answer.status == 400:
            assert not addressed or any("active" in promise.statuses for promise in addressed), answer.body
        else:
            self.ledger.uncertain[self.company] += not addressed
            for promise in addressed:
                promise.names.add(name)
                promise.may_be("pending", "deleted" if promise.statuses == {"pending"} else "pending")

    async def _reauthorize(self) -> None:
        promise = self._any("error", "expired", "disconnected", "pending")
        if promise is None:
            return
        answer = await self._call("POST", f"{_at(promise)}/reauthorize", json={"redirectUrl": APP})
        if answer is not None and answer.status == 200:
            promise.became("pending")
            self.urls[promise.id] = answer.data["authUrl"]
        else:
            promise.may_be("pending")
            await self._look(promise, answer)

    async def _complete(self, decision: str = "authorize") -> None:
        if self.unanswered and self.unanswered[0].at < time.monotonic() - RELOAD_AFTER:
            await self._come_back(self.unanswered.pop(0))
            return
        waiting = [promise for promise in self.mine.values() if promise.id in self.urls]
        if not waiting:
            return
        promise = self.rng.choice(waiting)
        back = await self.browser.consent(self.urls.pop(promise.id), decision=decision)
        callback = urlsplit(back)
        await self._come_back(_Return(promise, f"{callback.path}?{callback.query}", decision))

    async def _come_back(self, visit: _Return) -> None:
        answer = await self._open(visit.callback)
        if answer is not None and answer.status == 303:
            if visit.at:
                # How it ended at the time; what has become of the connection since, the next read knows.
                waiting = any(other.promise is visit.promise for other in self.unanswered)
                visit.promise.undecided &= waiting
            else:
                self._came_back(visit.promise, result_in(answer.location), visit.decision)
            return
        visit.promise.undecided = True
        visit.promise.may_be(*STANDING)
        visit.at = time.monotonic()
        self.unanswered.append(visit)

    async def _deny(self) -> None:
        await self._complete("deny")

    def _came_back(self, promise: Promise, told: Mapping[str, str], decision: str) -> None:
        assert told["connectionId"] == promise.id, told
        if told.get("success") == "true":
            assert decision == "authorize", told
            promise.became("active", "authorized")
        elif decision == "deny" and told["error"] == "access_denied":
            # An earlier callback that was never answered may still end well: a failure leaves siblings open.
            promise.statuses = {"error", "expired", "disconnected", *(STANDING if promise.undecided else ())}
            promise.facts["authorization_failed"] += 1
        else:
            # The link was superseded by a later one, or its time was over: the reader knows better than we.
            promise.may_be(*STANDING)

    # ── living ────────────────────────────────────────────────────────────────────────────────────

    async def _verify(self) -> None:
        if (promise := self._any("active")) is None:
            return
        answer = await self._call("POST", f"{_at(promise)}/verify")
        if answer is not None and answer.status == 200 and answer.data["healthy"]:
            promise.seen("active")
        else:
            await self._look(promise, answer)

    async def _refresh(self) -> None:
        if (promise := self._any("active")) is None:
            return
        answer = await self._call("POST", f"{_at(promise)}/refresh")
        if answer is not None and answer.status == 200:
            promise.became("active", "refreshed")
        else:
            await self._look(promise, answer)

    async def _rename(self) -> None:
        if (promise := self._any()) is None:
            return
        name = self._new_name()
        answer = await self._call("PATCH", _at(promise), json={"name": name})
        if answer is not None and answer.status == 200:
            promise.names = {name}
        else:
            promise.names.add(name)
            await self._look(promise, answer)

    async def _disconnect(self) -> None:
        if (promise := self._any()) is None:
            return
        answer = await self._call("POST", f"{_at(promise)}/disconnect")
        self.urls.pop(promise.id, None)
        if answer is not None and answer.status == 200:
            promise.became("disconnected")
        else:
            promise.may_be("disconnected")
            await self._look(promise, answer)

    async def _delete(self) -> None:
        if (promise := self._any()) is None:
            return
        self.urls.pop(promise.id, None)
        for attempt in range(TRIES):
            answer = await self._call("DELETE", _at(promise))
            if answer is not None and answer.status in (200, 404):
                assert answer.status == 200 or "deleted" in promise.statuses, answer.body
                promise.became("deleted")
                del self.mine[promise.id]
                return
            promise.may_be("deleted")
            await asyncio.sleep(PAUSE * attempt)
        del self.mine[promise.id]

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    async def _read(self) -> None:
        if (promise := self._any()) is not None:
            await self._look(promise, None)

    async def _look(self, promise: Promise, after: Answer | None) -> None:
        """Read what is true now; a 404 is a promise broken unless it may be deleted."""
        if after is not None and after.status == 404:
            promise.seen("deleted")
        answer = await self._call("GET", _at(promise))
        if answer is None or answer.status == 503:
            return
        if answer.status == 404:
            promise.seen("deleted")
            self.mine.pop(promise.id, None)
            self.urls.pop(promise.id, None)
            return
        promise.seen(answer.data["status"])
        assert answer.data["name"] in promise.names, (answer.data, promise)
        promise.names = {answer.data["name"]}

    async def _list(self) -> None:
        answer = await self._call("GET", "/connections", params={"limit": "100"})
        if answer is None or answer.status != 200:
            return
        listed = {each["id"]: each["status"] for each in answer.data}
        for promise in self.mine.values():
            promise.seen(listed.get(promise.id, "deleted"))
        theirs = {promise.id for promise in self.ledger.promises.values() if promise.company != self.company}
        assert not theirs & listed.keys(), "another company's connections are listed"

    # ── mechanics ─────────────────────────────────────────────────────────────────────────────────

    async def _call(
        self, method: str, path: str, *, headers: Mapping[str, str] = {}, **how: Any
    ) -> Answer | None:
        return await self._open(f"/api/v1{path}", method, headers={"x-api-key": self.key, **headers}, **how)

    async def _open(self, path: str, method: str = "GET", **how: Any) -> Answer | None:
        answer = await self.balancer.send(method, path, **how)
        if answer is not None and answer.status not in EXPECTED and ACTIVE_EXISTS not in answer.body:
            self.unexpected.append(
                f"{method} {path.partition('?')[0]}: {answer.status} {answer.body[:200]!r}"
            )
        return answer

    def _begun(self, connection_id: str, name: str, url: str, provider: str) -> Promise:
        promise = self.ledger.begun(connection_id, self.company, name, provider)
        self.mine[connection_id] = promise
        self.urls[connection_id] = url
        return promise

    def _any(self, *statuses: str) -> Promise | None:
        """Choose one that is surely in one of these statuses."""
        found = [each for each in self.mine.values() if not statuses or each.statuses <= set(statuses)]
        return self.rng.choice(found) if found else None

    def _new_name(self) -> str:
        self._names += 1
        return f"{self.company} {self._names}"


def _at(promise: Promise) -> str:
    return f"/connections/{promise.id}"


async def run(
    users: Sequence[User], *, requests: int | None = None, until: asyncio.Event | None = None
) -> None:
    """Let all users work until so many requests were answered or lost, or until they are told to stop."""

    async def work(user: User) -> None:
        while not (until is not None and until.is_set()):
            if requests is not None and sum(user.balancer.statuses.values()) >= requests:
                return
            await user.step()

    await asyncio.gather(*(work(user) for user in users))
