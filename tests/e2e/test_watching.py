"""Connections that are kept true without being asked: by webhooks, by the sweep, by the schedule.

Three deployments share one Nango environment; each has one of the three, so that nothing else can be what
found the truth.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from attrs import frozen

from adapters.sandbox.webhooks import signatures
from tests.conftest import TEMPLATE, copied_database
from tests.e2e.harness import Process, free_port, running
from tests.e2e.journeys import Answer, Browser, Company, Nango, ask, connect, eventually
from tests.e2e.world import World, start_nango

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    At = Callable[[str], Awaitable["Deployment"]]

KEY = "5f0c7f1e-signing-key"
OLD_KEY = "a-key-of-before-the-rotation"
OFF = {"verify_interval": 0, "sweep_interval": 0}
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "webhooks": {**OFF, "nango_webhook_keys": f"{OLD_KEY},{KEY}"},
    "sweep": {**OFF, "sweep_interval": 1},
    "schedule": {**OFF, "verify_interval": 1, "verify_per_minute": 600},
}


@pytest.fixture(scope="module")
def deployments(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[World, Process]]]:
    logs = tmp_path_factory.mktemp("watching")
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        nango = stack.enter_context(running(start_nango(logs, "http://127.0.0.1:1/oauth/callback")))
        found: dict[str, tuple[World, Process]] = {}
        for name, settings in DEPLOYMENTS.items():
            database = copied_database(postgres_server, TEMPLATE)
            url = runner.run(database.__aenter__())
            stack.callback(_leave, runner, database)
            port = free_port()
            world = World(
                database_url=url, nango_url=nango.url, public_url=f"http://127.0.0.1:{port}", logs=logs
            )
            process = world.serve("--with-worker", port=port, **settings)
            found[name] = (world, stack.enter_context(running(process)))
        nango.wait_ready("/ready")
        for _, process in found.values():
            process.wait_ready()
        yield found


def _leave(runner: asyncio.Runner, database: AbstractAsyncContextManager[str]) -> None:
    runner.run(database.__aexit__(None, None, None))


@frozen
class Deployment:
    """A company of one deployment, its user, and the Nango that all share."""

    world: World
    process: Process
    company: Company
    nango: Nango
    browser: Browser

    async def connected(self) -> tuple[str, str]:
        """Connect an account; give our id and Nango's."""
        connection_id = await connect(self.company, self.browser)
        return connection_id, await self.nango.id_of(connection_id)

    async def becomes(self, connection_id: str, status: str) -> None:
        async def is_so() -> bool:
            return await self.company.status_of(connection_id) == status

        await eventually(is_so)

    async def send(self, body: bytes, key: str | None = KEY, **headers: str) -> Answer:
        signed = {} if key is None else {"X-Nango-Hmac-Sha256": signatures(key, body)["X-Nango-Hmac-Sha256"]}
        return await ask(
            self.company.session,
            "POST",
            f"{self.world.public_url}/api/v1/webhooks/nango",
            data=body,
            headers={"Content-Type": "application/json", **signed, **headers},
        )


@pytest.fixture
async def at(
    deployments: dict[str, tuple[World, Process]], session: aiohttp.ClientSession, browser: Browser
) -> AsyncIterator[At]:
    """Enter one of the deployments, whose company has no connections then."""
    first, _ = deployments["webhooks"]
    nango = Nango(session, first.nango_url)

    async def enter(name: str) -> Deployment:
        world, process = deployments[name]
        await nango.set(callback_url=f"{world.public_url}/oauth/callback")
        if name == "webhooks":
            await nango.set(
                webhook_url=f"{world.public_url}/api/v1/webhooks/nango",
                webhook_key=KEY,
                webhook_on_creation=True,
                webhook_on_refresh_error=True,
            )
        company = Company(
            session=session, base=world.public_url, key=await world.create_key("acme"), id="acme"
        )
        for connection in (await company.get("/connections")).data:
            await company.delete(f"/connections/{connection['id']}")
        return Deployment(world, process, company, nango, browser)

    yield enter
    await nango.heal()
    await nango.set(webhook_url=None)


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_webhook_of_a_refused_refresh_moves_the_connection(at: At) -> None:
    here = await at("webhooks")
    connection_id, nango_id = await here.connected()
    await here.nango.act("expire", nango_id)
    await here.nango.fail("token_endpoint", "invalid_grant", connection_id=nango_id)
    # Somebody else in the environment asks Nango for the token.
    await here.nango.act("expire", nango_id)
    await fetch(here, nango_id)
    await here.becomes(connection_id, "error")


async def test_a_webhook_of_a_creation_completes_what_ended_at_nango(at: At) -> None:
    here = await at("webhooks")
    await here.nango.set(callback_url=f"{here.nango.url}/oauth/callback")
    started = (await here.company.auth_url("stripe")).data
    await here.world.sql("UPDATE attempts SET check_at = clock() + interval '1 hour' WHERE closed_at IS NULL")
    await here.browser.visit(await here.browser.consent(started["authUrl"]))
    await here.becomes(started["connectionId"], "active")
    assert (await here.company.events_of(started["connectionId"])).count("authorized") == 1


async def test_webhooks_after_the_callback_add_nothing(at: At) -> None:
    here = await at("webhooks")
    connection_id, nango_id = await here.connected()
    before = (await here.company.get(f"/connections/{connection_id}")).data
    for operation in ("creation", "override", "refresh", "deletion", "news"):
        assert (await here.send(told(nango_id, operation))).status == 200
    await nothing_is_due(here, connection_id)
    assert (await here.company.get(f"/connections/{connection_id}")).data == before


async def test_a_webhook_of_a_deletion_disconnects(at: At) -> None:
    here = await at("webhooks")
    await here.company.post("/connections", key_body("stripe", f"sk_{token_hex(8)}"))
    connection_id, nango_id = await here.connected()
    await here.nango.act("forget", nango_id)
    await here.send(told(nango_id, "deletion"), OLD_KEY)
    await here.becomes(connection_id, "disconnected")


async def test_a_webhook_without_a_good_signature_is_refused(at: At) -> None:
    here = await at("webhooks")
    body = told("any", "deletion")
    good = signatures(KEY, body)["X-Nango-Hmac-Sha256"]
    answers = [
        await here.send(body, None),
        await here.send(body, "another key"),
        await here.send(body + b" ", None, **{"X-Nango-Hmac-Sha256": good}),
        await here.send(body, None, **{"X-Nango-Signature": signatures(KEY, body)["X-Nango-Signature"]}),
        await (await at("sweep")).send(body, ""),
    ]
    assert [(answer.status, answer.error["code"]) for answer in answers] == [(401, "UNAUTHORIZED")] * 5
    assert len({answer.error["message"] for answer in answers}) == 1


async def test_strange_webhooks_are_accepted_and_a_huge_one_is_not(at: At) -> None:
    here = await at("webhooks")
    strange = [
        b"",
        b"[" * 60_000,
        b'{"type":"forward"}',
        b'{"type":"auth","connectionId":"\\u0000"}',
        b"\xff",
    ]
    assert [(await here.send(body)).status for body in strange] == [200] * 5
    assert (await here.send(b" " * 1_000_000)).status == 413


# ── the sweep ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_sweep_finds_a_refused_refresh(at: At) -> None:
    here = await at("sweep")
    connection_id, nango_id = await here.connected()
    await here.nango.act("expire", nango_id)
    await here.nango.fail("token_endpoint", "invalid_grant", connection_id=nango_id)
    await fetch(here, nango_id)
    await here.becomes(connection_id, "error")


async def test_the_sweep_finds_what_was_deleted_by_hand_and_leaves_the_rest(at: At) -> None:
    here = await at("sweep")
    stays = (await here.company.post("/connections", key_body("stripe", f"sk_{token_hex(8)}"))).data["id"]
    connection_id, nango_id = await here.connected()
    await here.nango.act("forget", nango_id)
    await here.becomes(connection_id, "disconnected")
    assert await here.company.status_of(stays) == "active"


# ── the schedule ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_schedule_finds_a_revoked_token_and_a_deleted_connection(at: At) -> None:
    here = await at("schedule")
    keyed = (await here.company.post("/connections", key_body("stripe", f"sk_{token_hex(8)}"))).data["id"]
    connection_id, nango_id = await here.connected()
    await here.nango.act("revoke", nango_id)
    await here.nango.act("forget", await here.nango.id_of(keyed))
    await here.becomes(connection_id, "error")
    await here.becomes(keyed, "disconnected")


# ── a crash ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_server_killed_between_the_import_and_its_commit_leaves_one_connection_and_one_grant(
    at: At,
) -> None:
    here = await at("sweep")
    doomed = here.world.serve(**DEPLOYMENTS["sweep"])
    with running(doomed):
        await asyncio.to_thread(doomed.wait_ready)
        await here.nango.fail("provider_api", delay=3.0, integration="pandadoc-api-key")
        call = asyncio.ensure_future(
            here.company.at(doomed.url).post("/connections", key_body("pandadoc", "pd_crash"))
        )
        await eventually(lambda: imported(here))
        doomed.kill()
        with pytest.raises(aiohttp.ClientError):
            await call
    await here.nango.heal()
    assert (await here.company.get("/connections")).data == []
    await here.world.sql("UPDATE jobs SET due_at = clock() WHERE kind = 'import'")

    async def finished() -> bool:
        return [each["status"] for each in (await here.company.get("/connections")).data] == ["active"]

    await eventually(finished)
    (connection,) = (await here.company.get("/connections")).data
    assert len(await here.nango.of(connection["id"])) == 1


async def imported(here: Deployment) -> bool:
    rows = await here.world.sql("SELECT connection_id FROM jobs WHERE kind = 'import'")
    return bool(rows) and bool(await here.nango.of(rows[0]["connection_id"]))


# ── canaries ──────────────────────────────────────────────────────────────────────────────────────────


async def test_no_key_and_no_token_is_in_a_table_a_log_or_an_answer(at: At) -> None:
    here = await at("webhooks")
    company = here.company
    _, nango_id = await here.connected()
    tokens = await fetch(here, nango_id)
    secrets = [
        "canary-stripe",
        "canary-bad-pandadoc",
        "canary-id",
        "canary-secret",
        "canary-new",
        "canary ill",
    ]
    secrets += [value for value in tokens.values() if isinstance(value, str) and len(value) > 15]
    netsuite = {"tokenId": "canary-id", "tokenSecret": "canary-secret"}
    created = await company.post("/connections", key_body("stripe", "canary-stripe"))
    path = f"/connections/{created.data['id']}"
    answers = [
        created,
        await company.post("/connections", key_body("pandadoc", "canary-bad-pandadoc")),
        await company.post("/connections", {**key_body("netsuite", "x"), "credentials": netsuite}),
        await company.post("/connections", {**key_body("stripe", "canary ill"), "surprise": 1}),
        await company.post(f"{path}/reauthorize", {"credentials": {"apiKey": "canary-new"}}),
        await company.post(f"{path}/reauthorize", {"credentials": {"apiKey": "canary-bad-pandadoc"}}),
        await company.post(f"{path}/verify"),
        await company.post(f"{path}/refresh"),
        await company.get(path),
        await company.get("/connections"),
        await company.get("/events"),
        await company.get(f"{path}/events"),
    ]
    tables = await here.world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    dump = [
        await here.world.sql(f'SELECT t::text FROM "{each["tablename"]}" t')  # noqa: S608 - names of the catalogue
        for each in tables
    ]
    haystack = repr(dump) + here.process.said + "".join(answer.body.decode() for answer in answers)
    assert len(tokens) >= 2
    assert created.data["id"] in haystack
    assert [secret for secret in secrets if secret in haystack] == []


# ── what the others need ──────────────────────────────────────────────────────────────────────────────


async def fetch(here: Deployment, nango_id: str) -> dict[str, Any]:
    """Ask Nango for a connection's credentials, as any application of the environment may."""
    secret = here.world.settings()["nango_secret_key"]
    answer = await ask(
        here.company.session,
        "GET",
        f"{here.nango.url}/connections/{nango_id}?provider_config_key=stripe-app&refresh_token=true",
        headers={"Authorization": f"Bearer {secret}"},
    )
    credentials: dict[str, Any] = answer.json.get("credentials", {})
    return credentials


async def nothing_is_due(here: Deployment, connection_id: str) -> None:
    async def is_so() -> bool:
        return not await here.world.sql("SELECT FROM jobs WHERE connection_id = $1", connection_id)

    await eventually(is_so)


def told(nango_id: str, operation: str) -> bytes:
    body = {"type": "auth", "operation": operation, "success": True}
    return json.dumps({**body, "connectionId": nango_id, "providerConfigKey": "stripe-app"}).encode()


def key_body(provider: str, key: str) -> dict[str, Any]:
    body: dict[str, Any] = {"name": "By key", "provider": provider, "credentials": {"apiKey": key}}
    return {**body, "parameters": {"accountId": "1234567_SB1"}} if provider == "netsuite" else body
