"""Dependencies in trouble: PostgreSQL and Nango behind a bad network, or not there at all."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.chaos import crashes
from tests.chaos.crashes import AUTH, Case
from tests.chaos.load import run
from tests.chaos.proxy import GARBAGE, WELL, Fault
from tests.e2e.journeys import APP

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tests.chaos.load import User
    from tests.chaos.scene import Scene
    from tests.e2e.journeys import Answer, Company

ERROR = b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
TROUBLE = (
    (0.20, Fault(answer=ERROR)),
    (0.10, Fault(blackhole=True)),
    (0.05, Fault(answer=GARBAGE)),
    (0.02, Fault(huge=True)),
    (0.05, Fault(reset=True)),
    (0.05, Fault(cut_after=20)),
)
FAST = 0.1


async def _reads(scene: Scene, company: Company, until: asyncio.Event, took: list[float]) -> None:
    """Read all the time, and note how long it took."""
    while not until.is_set():
        began = time.monotonic()
        answer = await company.get("/connections", limit="10")
        took.append(time.monotonic() - began)
        assert answer.status == 200 or not scene.counts(answer), answer.body
        await asyncio.sleep(0.01)


def _p99(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)]


async def nango_troubled(scene: Scene, *, seconds: float) -> str:
    """Nango: 20 % errors, 10 % hangs, garbage, 100 MB bodies, RST."""
    users = await scene.users(4)
    reader = await scene.company()
    await run(users, requests=80)

    def choose() -> Fault:
        left = scene.rng.random()
        for share, fault in TROUBLE:
            if (left := left - share) < 0:
                return fault
        return WELL

    took: list[float] = []
    scene.cluster.gateway.choose = choose
    over = asyncio.Event()
    reading = asyncio.ensure_future(_reads(scene, reader, over, took))

    async def end() -> None:
        await asyncio.sleep(seconds)
        over.set()
        scene.cluster.gateway.heal()

    await asyncio.gather(run(users, until=over), end(), reading)
    unexpected = [answer for user in users for answer in user.unexpected]
    assert not unexpected, "\n".join(unexpected[:20])
    assert _p99(took) < FAST * scene.slack, f"database-only calls took {_p99(took):.3f} s at p99"
    assert not scene.balancer.statuses[0], scene.balancer.lost
    await scene.judge()
    answered = sum(scene.balancer.statuses.values())
    return f"no 500 in {answered:,} requests, p99 of reads {_p99(took) * 1000:.0f} ms"


async def nango_blackholed(scene: Scene, *, seconds: float, relays: bool) -> str:
    """Nango blackholed."""
    calls = await _every_call(scene)
    if not relays:
        # They wait for 16 s, as they should.
        calls = {name: call for name, call in calls.items() if not name.startswith("callback,")}
    reader = await scene.company()
    scene.cluster.gateway.fault = Fault(blackhole=True)
    took: list[float] = []
    over = asyncio.Event()
    reading = asyncio.ensure_future(_reads(scene, reader, over, took))
    answers = await asyncio.gather(*(_timed(call) for call in calls.values()))
    await asyncio.sleep(max(0.0, seconds - max(spent for _, spent in answers)))
    over.set()
    await reading
    wrong = []
    for name, (answer, spent) in zip(calls, answers, strict=True):
        patience = 16.0 if name.startswith(("refresh", "callback,")) else 5.0
        fine = answer.status == 503 and "Retry-After" in answer.headers
        # A user waits on a page; what can be done without Nango is done, and owed to Nango.
        fine |= name.startswith("callback") and answer.status in (202, 303)
        # The worker may have found out before Nango was gone.
        fine |= name == "callback of the reference" and answer.status == 200
        fine |= name.startswith(("delete", "disconnect", "rename", "webhook")) and answer.status == 200
        if not fine or spent > patience * scene.slack:
            wrong.append(f"{name}: {answer.status} after {spent:.1f} s: {answer.body[:120]!r}")
    assert not wrong, "\n".join(wrong)
    await _recovered(scene, calls)
    await scene.judge()
    slowest = max(spent for _, spent in answers)
    return f"{len(took)} reads 100 %, {len(calls)} other calls within {slowest:.1f} s"


async def postgres_blackholed(scene: Scene) -> str:
    """PostgreSQL blackholed: every call answers 503 within 4 s and recovers by itself."""
    calls = await _every_call(scene)
    reader = await scene.company()
    assert (await reader.get("/connections")).status == 200
    await asyncio.sleep(1.0)  # until no key is remembered any more
    scene.cluster.database.fault = Fault(blackhole=True)
    answers = await asyncio.gather(*(_timed(call) for call in calls.values()))
    wrong = [
        f"{name}: {answer.status} after {spent:.1f} s: {answer.body[:120]!r}"
        for name, (answer, spent) in zip(calls, answers, strict=True)
        if answer.status != 503 or spent > 4.5 * scene.slack
    ]
    assert not wrong, "\n".join(wrong)
    scene.cluster.database.heal()
    began = time.monotonic()
    await scene.cluster.ready()
    back = time.monotonic() - began
    await _recovered(scene, calls)
    await scene.judge()
    slowest = max(spent for _, spent in answers)
    return f"{len(calls)} calls 503 within {slowest:.1f} s, back after {back * 1000:.0f} ms"


async def _every_call(scene: Scene) -> Mapping[str, Callable[[], Awaitable[Answer]]]:
    """Prepare every call of every endpoint that goes to Nango or writes."""
    calls: dict[str, Callable[[], Awaitable[Answer]]] = {}
    for name, endpoint in crashes.ENDPOINTS.items():
        case = Case(await scene.company(), scene.browser, scene.nango)
        await endpoint.prepare(case)
        if endpoint.act is crashes.webhook:
            continue  # asks the sandbox itself first
        calls[name] = lambda case=case, act=endpoint.act: act(  # type: ignore[misc] # mypy cannot infer its type
            case, scene.cluster.urls[0]
        )
    return calls


async def _recovered(scene: Scene, calls: Mapping[str, Callable[[], Awaitable[Answer]]]) -> None:
    """Mend what is broken, and see that every call is answered again, by the same processes."""
    scene.cluster.database.heal()
    scene.cluster.gateway.heal()
    await scene.cluster.settle()
    answers = await asyncio.gather(*(_timed(call) for call in calls.values()))
    still = [
        f"{name}: {answer.status} {answer.body[:120]!r}"
        for name, (answer, _) in zip(calls, answers, strict=True)
        if answer.status >= 500 and name != "refresh, revoked"
    ]
    assert not still, "\n".join(still)


async def _timed(call: Callable[[], Awaitable[Answer]]) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = await call()
    return answer, time.monotonic() - began


async def commits_dropped(scene: Scene, *, times: int) -> str:
    """COMMIT reply dropped."""
    users = await scene.users(min(16, times))
    proxy = scene.cluster.database
    proxy.cuts = 0
    over = asyncio.Event()

    async def cut() -> None:
        while proxy.cuts < times:
            proxy.limit = 1
            proxy.fault = Fault(cut_reply_to=b"COMMIT")
            await asyncio.sleep(0.02)
        over.set()
        proxy.heal()

    async def create(user: User) -> None:
        while not over.is_set():
            await _create_once(user)

    await asyncio.gather(cut(), *(create(user) for user in users))
    unexpected = [answer for user in users for answer in user.unexpected]
    assert not unexpected, "\n".join(unexpected[:20])
    await scene.judge()
    made = len(scene.ledger.promises)
    return f"no duplicate among {made} connections, {proxy.cuts} replies dropped"


async def _create_once(user: User) -> None:
    """Create with an Idempotency-Key until it is answered; the answer to one more repetition is the same."""
    name = f"{user.company} {len(user.mine)}"
    body = {"name": name, "provider": AUTH, "redirectUrl": APP}
    headers = {"Idempotency-Key": name.replace(" ", "-")}
    while True:
        answer = await user._call("POST", "/connections", json=body, headers=headers)
        if answer is not None and answer.status == 201:
            break
        await asyncio.sleep(0.05)
    again = None
    while again is None or again.status == 503:
        again = await user._call("POST", "/connections", json=body, headers=headers)
    assert (again.status, again.body) == (201, answer.body), (answer.body, again.body)
    user.mine[answer.data["id"]] = user.ledger.begun(answer.data["id"], user.company, name, AUTH)
