"""What a user sees, in a real browser (`make e2e`).

SHOTS names a folder that gets a picture of each page, for people to look at.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright, expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser as Chromium

    from tests.e2e.journeys import Company, Nango
    from tests.e2e.world import World

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHOTS = os.environ.get("SHOTS")
PHONE = {"width": 390, "height": 780}


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def page(chromium: Chromium) -> AsyncIterator[Page]:
    """A page that nothing went wrong on when the test is over."""
    page = await chromium.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    # A status of 4xx is logged by the browser, and is what some tests are about.
    assert not [said for said in complaints if "the server responded with a status of 4" not in said]


@pytest.fixture
async def app_url() -> AsyncIterator[str]:
    """The settings page of a company's app, that users come back to."""

    async def settings(request: web.Request) -> web.Response:
        text = f"<!doctype html><title>Settings</title><h1>Settings</h1><p>{request.query_string}</p>"
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/settings", settings)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://localhost:{port}/settings?tab=connections"
    await runner.cleanup()


async def shoot(page: Page, name: str) -> None:
    """Take pictures of a page where somebody wants to look at it: on a desk, on a phone, in the dark."""
    if SHOTS is None:
        return
    folder = Path(SHOTS)
    await page.set_viewport_size({"width": 1024, "height": 700})
    await page.screenshot(path=folder / f"{name}.png")
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    await page.emulate_media(color_scheme="dark")
    await page.screenshot(path=folder / f"{name}-phone-dark.png")


async def test_a_user_connects_stripe_and_is_back_in_the_app(
    company: Company, page: Page, app_url: str
) -> None:
    started = (await company.auth_url("stripe", redirect_url=app_url)).data
    await page.goto(started["authUrl"])
    await shoot(page, "consent")
    await page.get_by_role("button", name="Authorize").click()
    await expect(page).to_have_title("Settings")
    assert page.url == (f"{app_url}&success=true&connectionId={started['connectionId']}&provider=stripe")


async def test_a_user_denies_and_is_back_in_the_app(company: Company, page: Page, app_url: str) -> None:
    started = (await company.auth_url("stripe", redirect_url=app_url)).data
    await page.goto(started["authUrl"])
    await page.get_by_role("button", name="Deny").click()
    await expect(page).to_have_title("Settings")
    assert page.url == f"{app_url}&error=access_denied&connectionId={started['connectionId']}"


async def test_a_user_chooses_another_account(company: Company, page: Page, app_url: str) -> None:
    started = (await company.auth_url("stripe", redirect_url=app_url)).data
    await page.goto(started["authUrl"])
    await page.get_by_role("radio").nth(1).check()
    await page.get_by_role("button", name="Authorize").click()
    await expect(page).to_have_title("Settings")
    assert await company.status_of(started["connectionId"]) == "active"


async def test_a_user_without_an_app_is_told_that_it_worked(company: Company, page: Page) -> None:
    started = (await company.auth_url("stripe", redirect_url=None)).data
    await page.goto(started["authUrl"])
    await page.get_by_role("button", name="Authorize").click()
    await expect(page.get_by_role("heading")).to_have_text("Connected")
    await shoot(page, "connected")


async def test_a_user_who_denies_without_an_app_is_told_so(company: Company, page: Page) -> None:
    started = (await company.auth_url("stripe", redirect_url=None)).data
    await page.goto(started["authUrl"])
    await page.get_by_role("button", name="Deny").click()
    await expect(page.get_by_role("heading")).to_have_text("Not connected")
    await expect(page.get_by_text("access_denied")).to_be_visible()
    await shoot(page, "denied")


async def test_a_user_whose_second_tab_comes_too_late_is_told_so(company: Company, page: Page) -> None:
    first, second = [(await company.auth_url("stripe", redirect_url=None)).data for _ in range(2)]
    for started, told in ((first, "Connected"), (second, "Not needed any more")):
        await page.goto(started["authUrl"])
        await page.get_by_role("button", name="Authorize").click()
        await expect(page.get_by_role("heading")).to_have_text(told)
    await shoot(page, "overtaken")


async def test_a_user_with_an_old_address_is_told_so(company: Company, page: Page) -> None:
    await page.goto(f"{company.base}/oauth/callback?code=x&state=cs_{'A' * 43}")
    await expect(page.get_by_role("heading")).to_have_text("Not connected")
    await shoot(page, "unknown")


async def test_a_user_waits_while_nango_is_silent_and_goes_on_by_itself(
    company: Company, page: Page, app_url: str, nango: Nango, world: World
) -> None:
    started = (await company.auth_url("stripe", redirect_url=app_url)).data
    await page.goto(started["authUrl"])
    await nango.fail("nango", "server_error", operation="list_connections")
    await page.get_by_role("button", name="Authorize").click()
    await expect(page.get_by_role("heading")).to_have_text("One moment")
    await shoot(page, "waiting")
    await nango.heal()
    await world.let_time_pass(started["connectionId"])
    await expect(page).to_have_title("Settings", timeout=15_000)
    assert re.search(r"[?&]success=true&", page.url)


async def test_a_user_who_has_waited_for_minutes_is_told_to_go(
    company: Company, page: Page, nango: Nango, world: World
) -> None:
    started = (await company.auth_url("stripe", redirect_url=None)).data
    await page.goto(started["authUrl"])
    await nango.fail("nango", "server_error", operation="list_connections")
    await page.get_by_role("button", name="Authorize").click()
    await expect(page.get_by_role("heading")).to_have_text("One moment")
    await world.sql("UPDATE attempts SET claimed_at = claimed_at - interval '6 minutes'")
    await expect(page.get_by_role("heading")).to_have_text("This takes longer than usual", timeout=30_000)
    assert await page.locator("meta[http-equiv]").count() == 0
    await shoot(page, "late")
