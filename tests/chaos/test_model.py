"""The short form of the model; `make chaos` looks much longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.chaos.model import Machine, silence

if TYPE_CHECKING:
    from collections.abc import Iterator

TestModel = Machine.TestCase
TestModel.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    with silence():
        yield
