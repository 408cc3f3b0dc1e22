"""Many at once: the same call, or calls that contradict each other, over two processes."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from tests.chaos.crashes import AUTH, Case, consented, disconnected, in_error, nothing, tell
from tests.e2e.journeys import connect, result_in, with_query

if TYPE_CHECKING:
    from tests.chaos.scene import Scene
    from tests.e2e.journeys import Answer

MOST_FLOWS = 10
REFRESHED = "hubspot"
"""A provider whose tokens are renewed at its token endpoint; Slack's never are."""


async def _case(scene: Scene) -> Case:
    return Case(await scene.company(), scene.browser, scene.nango)


async def auth_urls(scene: Scene, *, times: int, callers: int = 200) -> str:
    """200 concurrent auth-url, 2 processes."""
    most = 0
    for turn in range(times):
        case = await _case(scene)
        await (nothing, in_error, disconnected)[turn % 3](case)
        await scene.nango.forget_calls()
        called = await asyncio.gather(
            *(case.company.at(scene.cluster.urls[caller % 2]).auth_url(AUTH) for caller in range(callers))
        )
        answers = [answer for answer in called if scene.counts(answer)]
        refused = [answer.body for answer in answers if answer.status != 200]
        assert not refused, (turn, len(refused), refused[:3])
        assert len({answer.data["connectionId"] for answer in answers}) == 1
        listed = (await case.company.get("/connections")).data
        assert [each["status"] for each in listed] == ["pending"], listed
        flows = (await scene.nango.calls()).get("start_oauth", 0)
        assert flows <= MOST_FLOWS, f"{flows} flows were started"
        most = max(most, flows)
        chosen = scene.rng.choice([answer.data["authUrl"] for answer in answers])
        back = await scene.browser.authorize(chosen)
        assert result_in(back.location)["success"] == "true"
    await scene.judge()
    return f"1 pending connection, at most {most} flows, all {callers} answered well, {times} times"


async def refreshes(scene: Scene, *, times: int, callers: int = 200) -> str:
    """200 concurrent refreshes, 2 processes."""
    for _ in range(times):
        case = await _case(scene)
        connection_id = await connect(case.company, scene.browser, REFRESHED)
        nango_id = await scene.nango.id_of(connection_id)
        # As slow as a provider: all callers come while the first one is on its way.
        await scene.nango.fail("token_endpoint", delay=3.0, connection_id=nango_id)
        await scene.nango.forget_calls()
        called = await asyncio.gather(
            *(
                case.company.at(scene.cluster.urls[caller % 2]).post(f"/connections/{connection_id}/refresh")
                for caller in range(callers)
            )
        )
        answers = [answer for answer in called if scene.counts(answer)]
        await scene.nango.heal()
        different = Counter((answer.status, answer.body) for answer in answers)
        assert len(different) == 1, different
        assert answers[0].status == 200, answers[0].body
        calls = (await scene.nango.calls())["refresh_connection"]
        assert calls == 1, f"{calls} refreshes at Nango"
        events = await case.company.events_of(connection_id)
        assert events.count("refreshed") == 1, events
    await scene.judge()
    return f"1 call to Nango, {callers} equal answers, {times} times"


async def completions(scene: Scene, *, times: int, callers: int = 50) -> str:
    """50 concurrent callbacks, webhooks and polls of one attempt."""
    for turn in range(times):
        case = await _case(scene)
        await consented(case)
        calls = [_finish(scene, case, caller, turn) for caller in range(callers)]
        called = await asyncio.gather(*calls)
        answers = [answer for answer in called if answer is not None and scene.counts(answer)]
        assert {answer.status for answer in answers} <= {200, 202, 303}, [a.body for a in answers]
        told = {
            result_in(answer.location).get("success")
            for answer in answers
            if answer.status == 303 and "/oauth/callback" in answer.headers.get("X-Asked", "/oauth/callback")
        }
        assert told == {"true"}, told
        events = await case.company.events_of(case.id)
        assert events.count("authorized") == 1, events
        assert len(await scene.nango.of(case.id)) == 1
    await scene.judge()
    return f"1 transition, 1 event, {times} times"


async def _finish(scene: Scene, case: Case, caller: int, turn: int) -> Answer | None:
    """Come back, bring Nango's word, or have the worker look: whichever is this caller's part."""
    base = scene.cluster.urls[caller % 2]
    part = (caller + turn) % 5
    if part == 3 and (held := await scene.nango.of(case.id)):
        await tell(case, base, held[0])
        return None
    if part == 4:
        await scene.cluster.sql(
            "UPDATE attempts SET check_at = clock() WHERE connection_id = $1 AND closed_at IS NULL",
            case.id,
        )
        return None
    return await case.browser.visit(case.callback, at=base)


async def endings(scene: Scene, *, times: int) -> str:
    """delete and disconnect racing callbacks, webhooks and relays in flight."""
    cases: list[tuple[Case, str]] = []
    await scene.nango.fail("nango", operation="finish_oauth", delay=0.1)
    for turn in range(times):
        case = await _case(scene)
        await consented(case)
        how = scene.rng.choice(["delete", "disconnect"])
        delays = [scene.rng.uniform(0, 0.3) for _ in range(5)]
        await asyncio.gather(
            _after(delays[0], _end(scene, case, how)),
            *(_after(delay, _finish(scene, case, caller, turn)) for caller, delay in enumerate(delays[1:])),
            _after(delays[1], _report(scene, case)),
        )
        cases.append((case, how))
    await scene.nango.heal()
    await scene.cluster.settle()
    for case, how in cases:
        now = await case.company.get(f"/connections/{case.id}")
        seen = "delete" if now.status == 404 else now.data["status"]
        assert seen == {"delete": "delete", "disconnect": "disconnected"}[how], (how, seen, case.id)
        assert not await scene.nango.of(case.id), f"{case.id} is still at Nango after a {how}"
    await scene.judge()
    return f"gone here and at Nango, never resurrected, {times} times"


async def _after(seconds: float, call: object) -> None:
    await asyncio.sleep(seconds)
    await call  # type: ignore[misc] # any coroutine


async def _end(scene: Scene, case: Case, how: str) -> None:
    company = case.company.at(scene.cluster.urls[1])
    path = f"/connections/{case.id}"
    answer = None
    while answer is None or not scene.counts(answer):
        answer = await (company.delete(path) if how == "delete" else company.post(f"{path}/disconnect"))
    assert answer.status == 200, answer.body


async def _report(scene: Scene, case: Case) -> None:
    url = f"{scene.cluster.urls[1]}/api/v1/connections/{AUTH}/callback"
    await case.browser.visit(with_query(url, connectionId=case.id, success="true"))
