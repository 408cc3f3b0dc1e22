"""`connections doctor` over a real database and the sandbox, with one thing wrong at a time."""

from __future__ import annotations

import json
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import attrs
import pytest
from yarl import URL

from adapters.postgres.pool import SERVER_TIMEOUTS
from adapters.sandbox import SANDBOX, create_sandbox
from application.findings import Severity
from domain.api_key import make_key
from entrypoints.doctor import examine
from entrypoints.service import composed
from entrypoints.settings import Settings
from tests.conftest import named
from tests.e2e.harness import free_port, run
from tests.e2e.journeys import APP
from tests.e2e.sandbox_process import SECRET_KEY

if TYPE_CHECKING:
    from pytest_aiohttp import AiohttpServer

    from adapters.sandbox import Sandbox
    from application.findings import Finding
    from tests.e2e.journeys import Browser

PUBLIC_URL = "https://connections.example.com"
CHECKS = [
    *("database", "migrations", "clock", "worker"),
    *("nango", "integrations", "providers", "callback", "grants", "webhooks"),
]


@pytest.fixture
async def sandbox(aiohttp_server: AiohttpServer) -> Sandbox:
    port = free_port()
    app = create_sandbox(
        secret_key=SECRET_KEY,
        public_url=f"http://127.0.0.1:{port}",
        callback_url=f"{PUBLIC_URL}/oauth/callback",
    )
    await aiohttp_server(app, port=port)
    return app[SANDBOX]


@pytest.fixture
async def deployment(sandbox: Sandbox, database_url: str) -> Settings:
    """A deployment in good health, with a worker that has just made a round."""
    settings = Settings(
        public_url=PUBLIC_URL,
        database_url=database_url,
        nango_url=sandbox.settings.public_url,
        nango_public_url=sandbox.settings.public_url,
        nango_secret_key=SECRET_KEY,
        nango_webhook_keys=("whk",),
    )
    async with composed(settings) as container:
        await container.schedule_checks()()
    return settings


async def wrong_with(settings: Settings) -> list[Finding]:
    return [finding for finding in await examine(settings) if finding.status is not Severity.OK]


async def on_each_session(url: str, **settings: str) -> None:
    database = urlsplit(url).path.removeprefix("/")
    for setting, value in settings.items():
        await sql(url, f"ALTER DATABASE {database} SET {setting} = '{value}'")


async def connect(settings: Settings, browser: Browser) -> None:
    """Connect an account, in this process."""
    async with composed(settings) as container:
        use_cases = container.use_cases()
        started = await use_cases.get_auth_url(
            company_id="acme", provider="slack", redirect_url=None, name=None, parameters={}, actor="tests"
        )
        query = URL(await browser.consent(started.url)).query
        result = await use_cases.complete_authorization(state=query["state"], query=[*query.items()])
        assert result.outcome == "succeeded", APP


async def test_a_deployment_in_good_health_passes_every_check(deployment: Settings, browser: Browser) -> None:
    await connect(deployment, browser)
    assert [(finding.check, finding.status) for finding in await examine(deployment)] == [
        (check, Severity.OK) for check in CHECKS
    ]


# ── the worker ────────────────────────────────────────────────────────────────────────────────────────


async def turn_back(settings: Settings, sql: str) -> None:
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute(sql)
    await connection.close()


async def test_a_deployment_without_a_worker_is_told_to_start_one(deployment: Settings) -> None:
    await turn_back(deployment, "DELETE FROM turns")
    [finding] = await wrong_with(deployment)
    assert (finding.check, finding.status) == ("worker", Severity.WARNING)
    assert finding.message == "No worker has made a round on this database yet."


async def test_a_worker_that_makes_no_rounds_any_more_is_missed(deployment: Settings) -> None:
    await turn_back(deployment, "UPDATE turns SET next_at = clock() - interval '7.5 minutes'")
    [finding] = await wrong_with(deployment)
    assert finding.message == "A worker's round is overdue by 7 minutes."


async def test_what_a_worker_does_seldom_does_not_stand_for_its_rounds(deployment: Settings) -> None:
    await turn_back(
        deployment,
        "UPDATE turns SET next_at = clock() + CASE name WHEN 'schedule checks' THEN interval '-7.5 minutes' "
        "ELSE interval '7 days' END",
    )
    [finding] = await wrong_with(deployment)
    assert finding.check == "worker"


# ── the database ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_database_that_is_away_is_told_with_the_reason(deployment: Settings) -> None:
    away = attrs.evolve(deployment, database_url=f"postgresql://ada:canary@127.0.0.1:{free_port()}/x")
    [finding, _] = await wrong_with(away)
    assert (finding.check, finding.status) == ("database", Severity.ERROR)
    assert "Connect call failed" in finding.message
    assert "canary" not in str(finding)


async def test_an_address_that_cannot_be_read_is_not_quoted(deployment: Settings) -> None:
    unreadable = attrs.evolve(deployment, database_url="postgresql://ada:canary@h:port/x")
    finding, *_ = await wrong_with(unreadable)
    assert (finding.check, "canary" in str(finding)) == ("database", False)


async def test_what_the_database_says_is_passed_on(deployment: Settings) -> None:
    elsewhere = attrs.evolve(deployment, database_url=named(deployment.database_url or "", "nowhere"))
    [finding, _] = await wrong_with(elsewhere)
    assert finding.message == 'It says: database "nowhere" does not exist.'


async def test_behind_pgbouncer_a_role_without_timeouts_is_a_warning(deployment: Settings) -> None:
    bounced = attrs.evolve(deployment, database_pgbouncer=True)

    (finding,) = await wrong_with(bounced)

    assert (finding.check, finding.status) == ("timeouts", Severity.WARNING)
    assert "statement_timeout, lock_timeout and idle_in_transaction_session_timeout" in finding.message


async def test_behind_pgbouncer_only_the_timeouts_that_are_missing_are_named(
    deployment: Settings, own_database_url: str
) -> None:
    await on_each_session(own_database_url, statement_timeout="2500ms", lock_timeout="2000ms")

    (finding,) = [
        finding
        for finding in await examine(
            attrs.evolve(deployment, database_url=own_database_url, database_pgbouncer=True)
        )
        if finding.check == "timeouts"
    ]

    assert finding.status is Severity.WARNING
    assert "idle_in_transaction_session_timeout" in finding.message
    assert "statement_timeout" not in finding.message


async def test_behind_pgbouncer_a_role_with_all_timeouts_is_fine(
    deployment: Settings, own_database_url: str
) -> None:
    await on_each_session(own_database_url, **SERVER_TIMEOUTS)

    findings = await examine(attrs.evolve(deployment, database_url=own_database_url, database_pgbouncer=True))

    assert [finding.status for finding in findings if finding.check == "timeouts"] == [Severity.OK]


async def test_pending_migrations_are_an_error(deployment: Settings, empty_database_url: str) -> None:
    findings = await wrong_with(attrs.evolve(deployment, database_url=empty_database_url))
    assert (findings[0].check, findings[0].status) == ("migrations", Severity.ERROR)
    assert "connections migrate" in (findings[0].advice or "")


async def test_a_newer_schema_is_a_warning(deployment: Settings, own_database_url: str) -> None:
    await sql(
        own_database_url,
        "INSERT INTO schema_migrations SELECT max(revision) + 1, 'later', 'x' FROM schema_migrations",
    )
    [finding, _] = await wrong_with(attrs.evolve(deployment, database_url=own_database_url))
    assert (finding.check, finding.status) == ("migrations", Severity.WARNING)


async def test_a_standby_is_an_error(deployment: Settings, own_database_url: str) -> None:
    await sql(
        own_database_url, f"ALTER DATABASE {name_of(own_database_url)} SET default_transaction_read_only = on"
    )
    finding, *_ = await wrong_with(attrs.evolve(deployment, database_url=own_database_url))
    assert (finding.check, finding.status) == ("database", Severity.ERROR)
    assert "target_session_attrs=read-write" in (finding.advice or "")


async def test_an_old_postgresql_is_an_error(deployment: Settings, own_database_url: str) -> None:
    await pretend(
        own_database_url,
        """
        CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql STABLE AS $$
            SELECT CASE $1 WHEN 'server_version_num' THEN '130014' WHEN 'server_version' THEN '13.14'
                ELSE pg_catalog.current_setting($1) END $$
        """,
    )
    finding, *_ = await wrong_with(attrs.evolve(deployment, database_url=own_database_url))
    assert (finding.check, finding.status) == ("database", Severity.ERROR)
    assert finding.message == "It is PostgreSQL 13.14, and 14 is the oldest that works."


@pytest.mark.parametrize(("shift", "where"), [("+", "behind"), ("-", "ahead of")])
async def test_clocks_that_disagree_are_a_warning(
    deployment: Settings, own_database_url: str, shift: str, where: str
) -> None:
    await pretend(
        own_database_url,
        f"""
        CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
            SELECT pg_catalog.clock_timestamp() {shift} interval '5 s' $$
        """,
    )
    [finding, _] = await wrong_with(attrs.evolve(deployment, database_url=own_database_url))
    assert (finding.check, finding.status) == ("clock", Severity.WARNING)
    # How long it took to ask is part of it.
    assert re.search(rf"\b[45]\.\d s {where}", finding.message)


# ── Nango ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("database_down", "Nango is out of order: it cannot check keys."),
        ("server_error", "Nango answers 500. Try again."),
        ("rate_limited", "Nango limits our calls. Try again later."),
        ("garbage", "Nango gave an answer that could not be understood."),
        ("disconnect", "Nango broke the connection off. Try again."),
        ("hang", "Nango did not answer in time."),
    ],
)
async def test_each_trouble_of_nango_is_told_for_what_it_is(
    deployment: Settings, sandbox: Sandbox, kind: str, message: str
) -> None:
    sandbox.fail("nango", kind)
    finding, *others = await wrong_with(deployment)
    assert (finding.check, finding.status, finding.message) == ("nango", Severity.ERROR, message)
    assert {other.status for other in others} == {Severity.WARNING}


async def test_a_nango_that_cannot_be_reached_is_an_error(deployment: Settings) -> None:
    finding, *_ = await wrong_with(attrs.evolve(deployment, nango_url=f"http://127.0.0.1:{free_port()}"))
    assert finding.check == "nango"
    assert finding.message.startswith("Nango cannot be reached. Try again. (Connect call failed")


async def test_a_wrong_key_is_told_from_an_outage(deployment: Settings) -> None:
    wrong = "99999999-9999-4999-8999-999999999999"
    finding, *_ = await wrong_with(attrs.evolve(deployment, nango_secret_key=wrong))
    assert (finding.check, finding.message) == ("nango", "Nango refuses our secret key (unknown_account).")
    assert wrong not in str(finding)


async def test_a_missing_integration_is_named(deployment: Settings, sandbox: Sandbox) -> None:
    del sandbox.integrations["hubspot"]
    [finding] = await wrong_with(deployment)
    assert (finding.check, finding.status) == ("integrations", Severity.WARNING)
    assert "'hubspot' for HubSpot" in finding.message


async def test_a_missing_integration_that_is_in_use_is_an_error(
    deployment: Settings, sandbox: Sandbox, browser: Browser
) -> None:
    await connect(deployment, browser)
    del sandbox.integrations["slack"]
    [finding] = await wrong_with(deployment)
    assert (finding.check, finding.status) == ("integrations", Severity.ERROR)


async def test_a_callback_url_that_leads_elsewhere_is_an_error(
    deployment: Settings, sandbox: Sandbox
) -> None:
    sandbox.settings.callback_url = "https://old.example.com/oauth/callback"
    [finding] = await wrong_with(deployment)
    assert (finding.check, finding.status) == ("callback", Severity.ERROR)


async def test_nango_s_own_callback_url_is_a_warning(deployment: Settings, sandbox: Sandbox) -> None:
    sandbox.settings.callback_url = f"{sandbox.settings.public_url}/oauth/callback"
    [finding] = await wrong_with(deployment)
    assert (finding.check, finding.status) == ("callback", Severity.WARNING)


async def test_a_connection_deleted_at_nango_is_counted(
    deployment: Settings, sandbox: Sandbox, browser: Browser
) -> None:
    await connect(deployment, browser)
    [held] = sandbox.connections.rows()
    sandbox.forget(held.connection_id)
    [finding] = await wrong_with(deployment)
    assert (finding.check, finding.message) == ("grants", "1 of our 1 connections are not at Nango.")


async def test_nothing_is_made_at_nango(deployment: Settings, sandbox: Sandbox) -> None:
    await examine(deployment)
    assert list(sandbox.connections.rows()) == []


async def test_missing_webhook_keys_are_a_warning(deployment: Settings) -> None:
    [finding] = await wrong_with(attrs.evolve(deployment, nango_webhook_keys=()))
    assert (finding.check, finding.status) == ("webhooks", Severity.WARNING)
    assert f"{PUBLIC_URL}/api/v1/webhooks/nango" in (finding.advice or "")


# ── the command ───────────────────────────────────────────────────────────────────────────────────────


def test_the_command_fails_where_something_is_broken_and_says_what_to_do() -> None:
    ended = run("doctor", **nothing_works())
    assert ended.returncode == 1
    assert ended.stdout.startswith("✗ database: It cannot be reached")
    assert "\n    Check CONNECTIONS_DATABASE_URL" in ended.stdout


def test_the_command_speaks_json() -> None:
    ended = run("doctor", "--json", **nothing_works())
    told = json.loads(ended.stdout)
    assert [set(each) for each in told] == [{"check", "status", "message", "advice"}] * len(told)
    assert (told[0]["check"], told[0]["status"]) == ("database", "error")


def nothing_works() -> dict[str, str]:
    return {
        "database_url": f"postgresql://127.0.0.1:{free_port()}/x",
        "nango_url": f"http://127.0.0.1:{free_port()}",
        "nango_secret_key": make_key(secrets.token_bytes(32)),
    }


async def sql(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def pretend(url: str, function: str) -> None:
    """Let a function of ours answer in place of PostgreSQL's."""
    await sql(url, function)
    await sql(url, f"ALTER DATABASE {name_of(url)} SET search_path = public, pg_catalog")


def name_of(url: str) -> str:
    return URL(url).path.removeprefix("/")
