"""The short form of the model; `make chaos` looks much longer."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.chaos.model import Machine

TestModel = Machine.TestCase
TestModel.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
