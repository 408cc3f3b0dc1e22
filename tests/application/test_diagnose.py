"""What `connections doctor` says of Nango and us, with everything in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from adapters.memory.gateway import INTEGRATIONS, MemoryGateway
from application.diagnose import Diagnose
from application.findings import Severity
from domain.errors import GatewayNonsense, GatewayRefused, GatewayUnavailable, StoreUnavailable
from tests.application.service import SETTINGS, catalogue
from tests.application.world import World, nango_id

if TYPE_CHECKING:
    from application.findings import Finding
    from domain.errors import DomainError

CHECKS = ["nango", "integrations", "providers", "callback", "grants"]
NANGO_S_OWN = "https://api.nango.dev/oauth/callback"


async def diagnose(world: World) -> list[Finding]:
    look = Diagnose(world.store, world.gateway, catalogue(), SETTINGS.callback_url, SETTINGS.nango_callbacks)
    return list(await look())


async def found(world: World, check: str) -> list[Finding]:
    return [finding for finding in await diagnose(world) if finding.check == check]


async def test_a_deployment_in_good_health_passes_every_check(world: World) -> None:
    await world.authorize()
    findings = await diagnose(world)
    assert [(each.check, each.status, each.advice) for each in findings] == [
        (check, Severity.OK, None) for check in CHECKS
    ]


async def test_looking_changes_nothing(world: World) -> None:
    connection = await world.authorize()
    before = dict(world.gateway.stored)
    await diagnose(world)
    assert (world.gateway.stored, await world.connections()) == (before, [connection])


@pytest.mark.parametrize(
    ("trouble", "advice"),
    [
        (GatewayRefused("Nango refuses our secret key (unknown_account)."), "CONNECTIONS_NANGO_SECRET_KEY"),
        (GatewayUnavailable("Nango is out of order: it cannot check keys."), "Nango's own health"),
        (GatewayNonsense("Nango's answer is too long."), "the address of Nango's API"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_is_wrong_with_nango_is_told_in_its_words(
    world: World, trouble: DomainError, advice: str
) -> None:
    world.gateway.fail_with(trouble, times=None)
    [finding] = await found(world, "nango")
    assert (finding.status, finding.message) == (Severity.ERROR, str(trouble))
    assert advice in (finding.advice or "")


async def test_a_key_that_may_not_do_everything_is_told_what_it_lacks(world: World) -> None:
    world.gateway.lacking = ["connections:list", "proxy"]
    [finding] = await found(world, "nango")
    assert (finding.status, finding.message) == (
        Severity.ERROR,
        "Nango accepts our key, which lacks connections:list, proxy.",
    )


async def test_without_nango_the_other_checks_say_that_they_could_not_look(world: World) -> None:
    world.gateway.fail_with(GatewayUnavailable(), times=None)
    findings = await diagnose(world)
    assert [(each.check, each.status) for each in findings[1:]] == [
        (check, Severity.OK if check == "providers" else Severity.WARNING) for check in CHECKS[1:]
    ]


async def test_without_the_database_nango_is_still_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object, **__: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(type(world.store), "ping", gone)
    findings = await diagnose(world)
    assert [(each.check, each.status) for each in findings] == [
        ("nango", Severity.OK),
        ("integrations", Severity.OK),
        ("callback", Severity.OK),
        ("grants", Severity.WARNING),
    ]


async def test_a_check_that_hangs_holds_no_other_up(world: World) -> None:
    world.gateway.hold("grants")
    findings = await diagnose(world)
    assert [each.status for each in findings] == [*[Severity.OK] * 4, Severity.WARNING]
    assert "took more than 15 s" in findings[4].message


# ── integrations ──────────────────────────────────────────────────────────────────────────────────────


async def test_an_integration_that_nobody_uses_is_missing_with_a_warning() -> None:
    world = World(gateway=without("netsuite-tba"))
    [finding] = await found(world, "integrations")
    assert finding.status is Severity.WARNING
    assert "'netsuite-tba' for NetSuite" in finding.message


async def test_an_integration_that_connections_use_is_missing_with_an_error(world: World) -> None:
    await world.authorize("slack")
    later = World(store=world.store, gateway=without("slack"))
    [finding] = await found(later, "integrations")
    assert (finding.status, "connections of ours use it" in finding.message) == (Severity.ERROR, True)


async def test_an_integration_that_only_older_connections_use_is_missed_too(world: World) -> None:
    connection = await world.authorize("slack")
    renamed = attrs.evolve(connection, integration="slack-before")
    world.store._state.connections[connection.id] = renamed
    [finding] = await found(world, "integrations")
    assert finding.status is Severity.ERROR
    assert "'slack-before' for older connections" in finding.message


async def test_a_provider_of_connections_that_nothing_describes_any_more_is_an_error(world: World) -> None:
    connection = await world.authorize()
    world.store._state.connections[connection.id] = attrs.evolve(connection, provider="acme")
    [finding] = await found(world, "providers")
    assert finding.status is Severity.ERROR
    assert finding.message == "No file here describes 'acme', the provider of 1 of ours."


# ── the callback URL ──────────────────────────────────────────────────────────────────────────────────


async def test_nango_s_own_callback_url_is_a_warning_that_says_what_to_set() -> None:
    [finding] = await found(World(nango_callback=NANGO_S_OWN), "callback")
    assert finding.status is Severity.WARNING
    assert SETTINGS.callback_url in (finding.advice or "")


async def test_somebody_else_s_callback_url_is_an_error() -> None:
    [finding] = await found(World(nango_callback="https://old.example.com/oauth/callback"), "callback")
    assert finding.status is Severity.ERROR
    assert "old.example.com" in finding.message


async def test_where_one_integration_is_odd_another_is_tried(world: World) -> None:
    world.gateway.fail_with(GatewayNonsense("Nango has another kind of integration there."), ["start_flow"])
    [finding] = await found(world, "callback")
    assert finding.status is Severity.OK


async def test_where_no_flow_starts_the_first_trouble_is_told(world: World) -> None:
    world.gateway.fail_with(GatewayNonsense("This one is odd."), ["start_flow"])
    world.gateway.fail_with(GatewayNonsense("And so are the others."), ["start_flow"], times=None)
    [finding] = await found(world, "callback")
    assert (finding.status, "This one is odd." in finding.message) == (Severity.WARNING, True)


async def test_without_an_integration_to_try_there_is_no_telling() -> None:
    [finding] = await found(World(gateway=MemoryGateway(integrations=["netsuite"])), "callback")
    assert (finding.status, "no OAuth integration" in finding.message) == (Severity.WARNING, True)


# ── what Nango has and what we have ───────────────────────────────────────────────────────────────────


async def test_a_grant_with_our_tag_that_no_connection_knows_is_reported_and_left_alone(
    world: World,
) -> None:
    connection = await world.authorize()
    stray = attrs.evolve(world.gateway.grant(nango_id(connection)), nango_id="stray")
    world.gateway.stored[stray.integration, stray.nango_id] = stray
    [finding] = await found(world, "grants")
    assert (finding.status, finding.message[:2]) == (Severity.WARNING, "1 ")
    assert "stray" in world.grants()


async def test_somebody_else_s_grant_is_none_of_our_business(world: World) -> None:
    connection = await world.authorize()
    foreign = attrs.evolve(
        world.gateway.grant(nango_id(connection)), nango_id="foreign", tags={"deployment": "other"}
    )
    world.gateway.stored[foreign.integration, foreign.nango_id] = foreign
    [finding] = await found(world, "grants")
    assert finding.status is Severity.OK


async def test_a_connection_that_nango_lost_is_counted(world: World) -> None:
    lost = await world.authorize("stripe")
    await world.authorize("slack")
    world.gateway.forget(nango_id(lost))
    [finding] = await found(world, "grants")
    assert (finding.status, finding.message[:8]) == (Severity.WARNING, "1 of our")


async def test_where_nango_has_none_of_ours_the_key_is_doubted(world: World) -> None:
    await world.authorize()
    world.gateway.stored.clear()
    [finding] = await found(world, "grants")
    assert "another Nango environment" in (finding.advice or "")


def without(integration: str) -> MemoryGateway:
    return MemoryGateway(
        callback_url=SETTINGS.callback_url,
        integrations=[each for each in INTEGRATIONS if each != integration],
    )
