from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.application.virtual_time import VirtualTimeLoop
from tests.application.world import World

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"virtual time": VirtualTimeLoop}


@pytest.fixture
async def world() -> World:
    """A service whose browsers come back through the relay."""
    return World()


@pytest.fixture
async def direct_world() -> World:
    """A service in a Nango environment whose callback URL is Nango's own."""
    return World(nango_callback="https://api.nango.dev/oauth/callback")
