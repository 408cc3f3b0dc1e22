"""`connections providers check`: a file on its own, and against the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest

from adapters.sandbox import SANDBOX, create_sandbox
from application.findings import Severity
from entrypoints.check_provider import check_provider
from entrypoints.settings import Settings
from tests.e2e.harness import ROOT, free_port, run
from tests.e2e.sandbox_process import SECRET_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_aiohttp import AiohttpServer

    from adapters.sandbox import Sandbox

SHIPPED = ROOT / "adapters/catalogue/providers"
TBA = ("credentials.tokenId", "credentials.tokenSecret", "accountId")
STRIPE, NETSUITE = SHIPPED / "stripe.toml", SHIPPED / "netsuite.toml"


@pytest.fixture
async def sandbox(aiohttp_server: AiohttpServer) -> Sandbox:
    port = free_port()
    app = create_sandbox(
        secret_key=SECRET_KEY,
        public_url=f"http://127.0.0.1:{port}",
        callback_url="https://connections.example.com/oauth/callback",
    )
    await aiohttp_server(app, port=port)
    return app[SANDBOX]


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    return Settings(nango_url=sandbox.settings.public_url, nango_secret_key=SECRET_KEY)


async def said(settings: Settings, file: Path, **parameters: str) -> list[tuple[str, str, str]]:
    return [
        (each.check, each.status, each.message) for each in await check_provider(settings, file, parameters)
    ]


async def test_a_good_file_says_what_it_asks_for_and_where_users_go(settings: Settings) -> None:
    assert await said(settings, NETSUITE, accountId="1234567_SB1") == [
        ("file", "ok", f"{NETSUITE} describes NetSuite."),
        ("oauth", "ok", "An authorization asks its caller for accountId."),
        (
            "api_key",
            "ok",
            f"A connection by key asks its caller for {', '.join(TBA)}.",
        ),
        ("oauth", "ok", "Nango has the integration 'netsuite'."),
        ("api_key", "ok", "Nango has the integration 'netsuite-tba'."),
        ("flow", "ok", "Users are sent to 127.0.0.1 and asked for: rest_webservices."),
    ]


async def test_what_a_user_would_say_is_wanted_before_a_flow_is_tried(settings: Settings) -> None:
    *_, flow = await said(settings, NETSUITE)
    assert flow == ("flow", "warning", "No flow was tried: accountId is required: NetSuite account id.")


@pytest.mark.parametrize(("integration", "table"), [("stripe-app", "oauth"), ("stripe-api-key", "api_key")])
async def test_a_missing_integration_is_an_error(
    settings: Settings, sandbox: Sandbox, integration: str, table: str
) -> None:
    del sandbox.integrations[integration]
    assert (table, "error", f"Nango has no integration '{integration}'.") in await said(settings, STRIPE)


async def test_a_flow_that_nango_does_not_start_is_an_error(settings: Settings, sandbox: Sandbox) -> None:
    sandbox.integrations["stripe-app"] = attrs.evolve(sandbox.integrations["stripe-app"], auth_mode="API_KEY")
    *_, (check, status, message) = await said(settings, STRIPE)
    assert (check, status) == ("flow", "error")
    assert message.startswith("Nango does not start a flow: ")


async def test_without_a_key_only_the_file_is_read() -> None:
    *_, last = await check_provider(Settings(), STRIPE, {})
    assert (last.check, last.status) == ("nango", Severity.WARNING)


async def test_a_refused_key_is_an_error_that_names_the_setting(settings: Settings) -> None:
    wrong = attrs.evolve(settings, nango_secret_key="99999999-9999-4999-8999-999999999999")
    *_, last = await check_provider(wrong, STRIPE, {})
    assert (last.status, last.advice) == (Severity.ERROR, "Check CONNECTIONS_NANGO_SECRET_KEY.")


async def test_nothing_is_left_at_nango(settings: Settings, sandbox: Sandbox) -> None:
    await check_provider(settings, STRIPE, {})
    assert list(sandbox.connections.rows()) == []


# ── the command ───────────────────────────────────────────────────────────────────────────────────────


def test_a_bad_file_fails_with_its_line_key_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "stripe.toml"
    file.write_text(STRIPE.read_text().replace("integration =", "integraton =", 1))
    ended = run("providers", "check", file)
    lines = file.read_text().splitlines()
    line, table = (1 + lines.index(text) for text in ('integraton = "stripe-app"', "[oauth]"))
    known = "integration, refresh_token_lifetime, parameters"
    assert (ended.returncode, ended.stderr.splitlines()) == (
        1,
        [
            f"connections: {file}:{line}: oauth.integraton: is not known here; known are {known}",
            f"{file}:{table}: oauth.integration: is required",
        ],
    )


def test_a_machine_is_told_of_a_bad_file_as_of_any_other_finding(tmp_path: Path) -> None:
    file = tmp_path / "stripe.toml"
    file.write_text(STRIPE.read_text().replace("integration =", "integraton =", 1))
    ended = run("providers", "check", file, "--json")
    findings = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert [(each["check"], each["status"]) for each in findings] == [("file", "error")] * 2
    assert all(each["message"].startswith(f"{file}:") for each in findings)


def test_a_good_file_passes_and_can_be_told_in_json() -> None:
    ended = run("providers", "check", STRIPE, "--json")
    assert (ended.returncode, json.loads(ended.stdout)[0]["check"]) == (0, "file")


@pytest.mark.parametrize(
    ("file", "reason"), [("absent.toml", "cannot be read"), ("acme.json", "is not named *.toml")]
)
def test_what_is_no_provider_file_fails(tmp_path: Path, file: str, reason: str) -> None:
    ended = run("providers", "check", tmp_path / file)
    assert (ended.returncode, reason in ended.stderr) == (1, True)
