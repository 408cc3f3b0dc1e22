from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request

from adapters.http.app import HttpOptions, create_app
from tests.http.fakes import WRITE_KEY, FakeUseCases

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Client: TypeAlias = TestClient[Request, Application]

NANGO = "https://nango.example"


@pytest.fixture
def fakes() -> FakeUseCases:
    return FakeUseCases()


@pytest.fixture
def app(fakes: FakeUseCases) -> Application:
    return create_app(fakes.all(), HttpOptions(nango_public_url=NANGO))


@pytest.fixture
async def client(app: Application, aiohttp_client: Callable[..., Awaitable[Any]]) -> Client:
    """A client that carries no key and follows no redirect."""
    client: Client = await aiohttp_client(app)
    return client


@pytest.fixture
async def company(app: Application, aiohttp_client: Callable[..., Awaitable[Any]]) -> Client:
    """A client that carries acme's key with the scope write."""
    client: Client = await aiohttp_client(app, headers={"x-api-key": WRITE_KEY})
    return client
