"""One deployment for all scenarios of the short form, in one event loop, where its proxies live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.chaos.cluster import Cluster, cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def deployment() -> AsyncIterator[Cluster]:
    async with cluster() as deployment:
        yield deployment
