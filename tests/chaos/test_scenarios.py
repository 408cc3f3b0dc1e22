"""The short form of the failure tests; `make chaos` has the long one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.scene import scene
from tests.chaos.table import ROWS, Row

if TYPE_CHECKING:
    from tests.chaos.cluster import Cluster

SEED = 1
SLACK = 10.0
"""Other tests run beside these: how fast it is shows in the long form, which has the machine to itself."""


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS if row.short is not None])
async def test_what_was_promised_holds_when(deployment: Cluster, row: Row) -> None:
    try:
        async with scene(deployment, SEED, slack=SLACK) as played:
            assert await row.play(played, **(row.short or {}))
    except Exception as problem:
        problem.add_note(f"Repeat it with: python -m tests.chaos --short --seed {SEED} {row.name}")
        raise
