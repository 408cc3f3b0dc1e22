"""Two companies, their users, and a service whose processes die, against a model of what each may rely on.

The model keeps a set of possible states for each connection: one, unless a call was not answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import structlog
from attrs import define, field, frozen
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapters.memory.api_keys import MemoryApiKeys
from adapters.memory.gateway import MemoryGateway
from adapters.memory.store import MemoryStore
from application.create_api_key import CreateApiKey
from application.ports import ProviderAnswer, Scope
from domain.errors import GatewayNonsense, GatewayTimeout, GatewayUnavailable
from tests.application.service import SETTINGS
from tests.application.virtual_time import VirtualTimeLoop
from tests.chaos.checker import Evidence, Held, violations
from tests.chaos.crashing_service import REMOTE
from tests.chaos.ledger import STANDING, Ledger, Promise
from tests.chaos.mortal import Mortal
from tests.e2e.journeys import APP, Answer, ask, result_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COMPANIES = ("acme", "globex")
KEYS = {company: f"{company}-" + "k" * 40 for company in COMPANIES}
ABSENT = "conn_01a00000-0000-7000-8000-000000000000"
BACK = frozenset({"error", "expired", "disconnected"})
TROUBLES = (GatewayUnavailable, GatewayTimeout, GatewayNonsense)
HOUR = 3700


@frozen
class Mishap:
    """What goes wrong during one call."""

    what: str
    at: int = 0
    operation: str = ""
    after: bool = False


MISHAPS = st.one_of(
    st.none(),
    st.none(),
    st.builds(Mishap, st.sampled_from(["crash", "lose", "refuse"]), st.integers(0, 9)),
    st.builds(
        Mishap,
        st.just("nango"),
        st.integers(0, len(TROUBLES) - 1),
        st.sampled_from(REMOTE),
        st.booleans(),
    ),
)
PROCESSES = st.integers(0, 1)
COMPANY = st.sampled_from(COMPANIES)
ANY = st.integers(0, 99)


@define(eq=False)
class Deployment:
    """What all processes share, and the processes."""

    store: MemoryStore
    gateway: MemoryGateway
    api_keys: MemoryApiKeys
    session: aiohttp.ClientSession
    processes: list[Mortal] = field(factory=list)

    async def call(
        self, number: int, method: str, path: str, mishap: Mishap | None, **how: Any
    ) -> Answer | None:
        """Call a process while something happens to it; None where it did not answer."""
        process = self.processes[number]
        if mishap is not None:
            self._befall(process, mishap)
        try:
            answer = await ask(self.session, method, f"{process.url}{path}", **how)
        except aiohttp.ClientError:
            answer = None
        self.gateway.heal()
        process.life.spare()
        if process.life.dead:
            await process.end()
            self.processes[number] = await Mortal.born(self.store, self.gateway, self.api_keys)
        return answer

    def _befall(self, process: Mortal, mishap: Mishap) -> None:
        if mishap.what == "crash":
            process.life.dies_at = mishap.at
        elif mishap.what == "lose":
            process.life.loses = mishap.at
        elif mishap.what == "refuse":
            process.life.refuses = mishap.at
        else:
            self.gateway.fail_with(TROUBLES[mishap.at](), [mishap.operation], times=None, after=mishap.after)

    async def work_for(self, seconds: float) -> None:
        """Let time pass, with a worker."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await self.processes[0].service.do_due_work()
            await self.processes[0].service.sweep_grants()
            await asyncio.sleep(max(1.0, seconds / 40))
        while await self.processes[0].service.do_due_work():
            pass

    def evidence(self, ledger: Ledger) -> Evidence:
        """Give what there is to judge by."""
        state = self.store._state
        return Evidence(
            connections=list(state.connections.values()),
            events=state.events,
            attempts=list(state.attempts.values()),
            half_done=[str(job) for job in state.jobs.values()],
            deployment=self.store._deployment,
            held=[
                Held(integration=each.integration, nango_id=each.nango_id, tags=each.tags)
                for each in self.gateway.stored.values()
            ],
            remembered=list(ledger.promises.values()),
            uncertain=ledger.uncertain,
        )


async def model(_: object, *, examples: int) -> str:
    """Anything, in any order, against a model: crashes, lost replies, a Nango in trouble, and time."""
    much = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    with silence():
        await asyncio.to_thread(run_state_machine_as_test, Machine, settings=much)
    return f"nothing against it in {examples:,} runs of up to 50 calls"


@contextmanager
def silence() -> Iterator[None]:
    """Say nothing of processes that die in the middle of things, until the end."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncios = logging.getLogger("asyncio")
    level = asyncios.level
    asyncios.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        asyncios.setLevel(level)
        structlog.reset_defaults()


class Machine(RuleBasedStateMachine):
    """What may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.ledger = Ledger(uncertain=Counter(dict.fromkeys(COMPANIES, 0)))
        self.urls: dict[str, str] = {}
        self.refused: set[str] = set()
        self.keys = 0
        self.deployment: Deployment

    @initialize()
    def open(self) -> None:
        self.runner.run(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()

        def now() -> datetime:
            return NOON + timedelta(milliseconds=round(loop.time() * 1000))

        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
        )
        session._retry_connection = False
        self.deployment = Deployment(
            MemoryStore(now),
            MemoryGateway(callback_url=SETTINGS.callback_url, clock=now),
            MemoryApiKeys(now),
            session,
        )
        for company, key in KEYS.items():
            await CreateApiKey(self.deployment.api_keys)(
                company_id=company, scope=Scope.WRITE, label=None, key=key
            )
        for _ in range(2):
            self.deployment.processes.append(
                await Mortal.born(self.deployment.store, self.deployment.gateway, self.deployment.api_keys)
            )

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────

    @rule(company=COMPANY, process=PROCESSES, mishap=MISHAPS)
    def auth_url(self, company: str, process: int, mishap: Mishap | None) -> None:
        mine = self._of(company)
        answer = self._call(
            company, process, mishap, "GET", "/connections/stripe/auth-url", params={"redirectUrl": APP}
        )
        surely_active = any(promise.statuses == {"active"} for promise in mine)
        if answer is not None and answer.status == 200:
            assert not surely_active, answer.body
            told = answer.data
            known = self.ledger.promises.get(told["connectionId"])
            assert known is None or known.company == company
            assert known is None or not told["isNew"]
            promise = self.ledger.begun(told["connectionId"], company, "Stripe", "stripe")
            if known is None and not told["isNew"]:
                # What a call that was never answered has left, by whatever name it wanted.
                promise.names |= {f"{company} {number}" for number in range(self.keys + 1)}
            self.urls[promise.id] = told["authUrl"]
        elif answer is not None and answer.status == 400:
            assert any("active" in promise.statuses for promise in mine) or self.ledger.uncertain[company]
        else:
            self._fails(answer, mishap)
            self.ledger.uncertain[company] += 1
            for promise in mine:
                if promise.statuses != {"active"}:
                    promise.may_be("pending")

    @rule(company=COMPANY, process=PROCESSES, mishap=MISHAPS, once=st.booleans())
    def create(self, company: str, process: int, mishap: Mishap | None, once: bool) -> None:
        self.keys += 1
        name = f"{company} {self.keys}"
        how = {"json": {"name": name, "provider": "stripe", "redirectUrl": APP}}
        headers = {"Idempotency-Key": f"key-{self.keys}"} if once else {}
        answer = self._call(company, process, mishap, "POST", "/connections", headers=headers, **how)
        if once and (answer is None or answer.status != 201):
            self._fails(answer, mishap)
            answer = self._call(company, 1 - process, None, "POST", "/connections", headers=headers, **how)
            assert answer is not None
            assert answer.status == 201, answer.body
        if answer is not None and answer.status == 201:
            self.ledger.begun(answer.data["id"], company, name, "stripe")
            self.urls[answer.data["id"]] = answer.data["oauthUrl"]
        else:
            self._fails(answer, mishap)
            self.ledger.uncertain[company] += 1

    @precondition(lambda self: self.urls)
    @rule(which=ANY, process=PROCESSES, mishap=MISHAPS, consents=st.booleans(), keeps=st.booleans())
    def come_back(self, which: int, process: int, mishap: Mishap | None, consents: bool, keeps: bool) -> None:
        """A browser comes back from the provider, perhaps not for the last time."""
        connection_id = sorted(self.urls)[which % len(self.urls)]
        promise, url = self.ledger.promises[connection_id], self.urls[connection_id]
        if not keeps:
            del self.urls[connection_id]
        (state,) = parse_qs(urlsplit(url).query)["state"]
        query = {"state": state, **({"code": "c"} if consents else {"error": "access_denied"})}
        before = set(promise.statuses)
        answer = self.runner.run(
            self.deployment.call(process, "GET", f"/oauth/callback?{urlencode(query)}", mishap)
        )
        if answer is None or answer.status != 303:
            if answer is not None and answer.status != 202:
                self._fails(answer, mishap)
            promise.may_be(*STANDING)
            promise.undecided = True
            return
        told = result_in(answer.location)
        assert told["connectionId"] == connection_id
        if told.get("success") == "true" and before == {"pending"} and not promise.undecided:
            promise.became("active", "authorized")
            if connection_id in self.refused:
                promise.may_be("error")  # whose account it is was asked at once
        else:
            # Loaded again, superseded, denied, or ended by somebody: the next read knows.
            assert before != {"deleted"} or told.get("success") != "true" or promise.facts["authorized"]
            promise.may_be(*(BACK | {"active"} if before != {"deleted"} else ()))

    @precondition(lambda self: self._surely("active"))
    @rule(which=ANY, process=PROCESSES, mishap=MISHAPS)
    def verify(self, which: int, process: int, mishap: Mishap | None) -> None:
        promise = self._choose(which, "active")
        answer = self._call(promise.company, process, mishap, "POST", f"/connections/{promise.id}/verify")
        refused = promise.id in self.refused
        if answer is not None and answer.status == 200:
            assert answer.data["healthy"] is not refused, answer.body
            promise.became("error" if refused else "active")
        else:
            self._fails(answer, mishap)
            promise.may_be("error" if refused else "active")

    @precondition(lambda self: self._surely("active"))
    @rule(which=ANY, process=PROCESSES, mishap=MISHAPS)
    def refresh(self, which: int, process: int, mishap: Mishap | None) -> None:
        promise = self._choose(which, "active")
        answer = self._call(promise.company, process, mishap, "POST", f"/connections/{promise.id}/refresh")
        refused = promise.id in self.refused
        if answer is not None and answer.status == 200:
            assert not refused, answer.body
            promise.became("active", "refreshed")
        elif answer is not None and answer.status == 500:
            assert refused, answer.body
            promise.became("error", "refresh_failed")
        else:
            self._fails(answer, mishap)
            promise.may_be("error" if refused else "active")

    @precondition(lambda self: self._known())
    @rule(which=ANY, process=PROCESSES, mishap=MISHAPS)
    def rename(self, which: int, process: int, mishap: Mishap | None) -> None:
        promise = self._choose(which)
        self.keys += 1
        name = f"renamed {self.keys}"
        answer = self._call(
            promise.company, process, mishap, "PATCH", f"/connections/{promise.id}", json={"name": name}
        )
        if answer is not None and answer.status == 200:
            promise.names = {name}
        else:
            self._fails(answer, mishap, promise)
            promise.names.add(name)

    @precondition(lambda self: self._known())
    @rule(which=ANY, process=PROCESSES, mishap=MISHAPS, how=st.sampled_from(["disconnect", "delete"]))
    def end(self, which: int, process: int, mishap: Mishap | None, how: str) -> None:
        promise = self._choose(which)
        method, path = ("DELETE", "") if how == "delete" else ("POST", "/disconnect")
        answer = self._call(promise.company, process, mishap, method, f"/connections/{promise.id}{path}")
        status = "deleted" if how == "delete" else "disconnected"
        if answer is not None and answer.status == 200:
            promise.became(status)
        else:
            self._fails(answer, mishap, promise)
            promise.may_be(status)

    @precondition(lambda self: self._surely(*BACK, "pending"))
    @rule(which=ANY, process=PROCESSES, mishap=MISHAPS)
    def reauthorize(self, which: int, process: int, mishap: Mishap | None) -> None:
        promise = self._choose(which, *BACK, "pending")
        path = f"/connections/{promise.id}/reauthorize"
        answer = self._call(promise.company, process, mishap, "POST", path, json={"redirectUrl": APP})
        if answer is not None and answer.status == 200:
            promise.became("pending")
            self.urls[promise.id] = answer.data["authUrl"]
        else:
            self._fails(answer, mishap)
            promise.may_be("pending")

    # ── the world ─────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self._surely("active"))
    @rule(which=ANY, refuses=st.booleans())
    def provider(self, which: int, refuses: bool) -> None:
        """The provider changes its mind about an account."""
        promise = self._choose(which, "active")
        gateway = self.deployment.gateway
        for held in list(gateway.stored.values()):
            if held.tags["connection"] == promise.id:
                gateway.answers[held.nango_id] = ProviderAnswer(
                    status=401 if refuses else 200, body={"id": "a"}
                )
                (self.refused.add if refuses else self.refused.discard)(promise.id)

    @rule(seconds=st.sampled_from([5, 60, 400, HOUR]))
    def time_passes(self, seconds: int) -> None:
        self.runner.run(self.deployment.work_for(seconds))
        for promise in self.ledger.promises.values():
            if "error" in promise.statuses and promise.id not in self.refused:
                promise.may_be("active")  # the look after a refused refresh
            if "active" in promise.statuses and promise.id in self.refused:
                promise.may_be("error")  # a look that could not be had at the authorization itself
            if seconds >= HOUR and "pending" in promise.statuses:
                promise.statuses = (promise.statuses - {"pending"}) | BACK
            if seconds >= HOUR:
                promise.undecided = False

    @precondition(lambda self: self._known())
    @rule(which=ANY, process=PROCESSES)
    def pry(self, which: int, process: int) -> None:
        """The other company tries its luck: another's connection and none at all are the same."""
        promise = self._choose(which)
        (other,) = set(COMPANIES) - {promise.company}
        for method, path, how in (
            ("GET", "", {}),
            ("PATCH", "", {"json": {"name": "stolen"}}),
            ("DELETE", "", {}),
            ("POST", "/verify", {}),
            ("POST", "/refresh", {}),
            ("POST", "/disconnect", {}),
            ("GET", "/events", {}),
        ):
            theirs = self._call(other, process, None, method, f"/connections/{promise.id}{path}", **how)
            none = self._call(other, process, None, method, f"/connections/{ABSENT}{path}", **how)
            assert theirs is not None
            assert none is not None
            assert (theirs.status, theirs.body) == (404, none.body)

    # ── what must hold ────────────────────────────────────────────────────────────────────────────

    @invariant()
    def everything_reads_as_promised(self) -> None:
        for company in COMPANIES if hasattr(self, "deployment") else ():
            answer = self._call(company, 0, None, "GET", "/connections", params={"limit": "100"})
            assert answer is not None
            listed = {each["id"]: each for each in answer.data}
            for promise in self._of(company, deleted=True):
                read = listed.get(promise.id)
                promise.seen(read["status"] if read else "deleted")
                assert read is None or read["name"] in promise.names, (read, promise)

    def teardown(self) -> None:
        if hasattr(self, "deployment"):
            self.runner.run(self._close())
        self.runner.close()

    async def _close(self) -> None:
        for _ in range(3):
            await self.deployment.work_for(HOUR)
        for promise in self.ledger.promises.values():
            if "pending" in promise.statuses:
                promise.may_be(*BACK)
            if "error" in promise.statuses:
                promise.may_be("active")
            if promise.id in self.refused and "active" in promise.statuses:
                promise.may_be("error")
        found = violations(self.deployment.evidence(self.ledger))
        await self.deployment.session.close()
        for process in self.deployment.processes:
            await process.end()
        assert not found, "\n".join(found)

    # ── mechanics ─────────────────────────────────────────────────────────────────────────────────

    def _call(
        self,
        company: str,
        process: int,
        mishap: Mishap | None,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] = {},
        **how: Any,
    ) -> Answer | None:
        headers = {"x-api-key": KEYS[company], **headers}
        return self.runner.run(
            self.deployment.call(process, method, f"/api/v1{path}", mishap, headers=headers, **how)
        )

    def _fails(self, answer: Answer | None, mishap: Mishap | None, promise: Promise | None = None) -> None:
        """Only a mishap excuses a failure, and no failure is a 500."""
        if answer is not None and answer.status == 404:
            assert promise is not None
            assert "deleted" in promise.statuses
            return
        assert mishap is not None, answer
        assert answer is None or answer.status in (409, 502, 503), answer.body

    def _known(self) -> list[Promise]:
        return sorted(self.ledger.promises.values(), key=lambda promise: promise.id)

    def _of(self, company: str, *, deleted: bool = False) -> list[Promise]:
        return [
            each
            for each in self._known()
            if each.company == company and (deleted or each.statuses != {"deleted"})
        ]

    def _surely(self, *statuses: str) -> list[Promise]:
        return [each for each in self._known() if each.statuses <= set(statuses)]

    def _choose(self, which: int, *statuses: str) -> Promise:
        found = self._surely(*statuses) if statuses else self._known()
        return found[which % len(found)]
