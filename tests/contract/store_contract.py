"""The contract of a store: one suite, which every implementation passes, races included."""

from __future__ import annotations

from tests.contract.store.attempts import AttemptRules
from tests.contract.store.connections import AuthUrlRules, ConnectionRules
from tests.contract.store.flights import FlightRules
from tests.contract.store.history import HistoryRules
from tests.contract.store.lists import ListRules
from tests.contract.store.tenancy import TenancyRules
from tests.contract.store.watch import (
    GrantRules,
    RecheckRules,
    StaleRules,
    TrialRules,
    TurnRules,
    WalkRules,
)
from tests.contract.store.work import DeploymentRules, IdempotencyRules, JobRules


class StoreContract(
    ConnectionRules,
    AuthUrlRules,
    ListRules,
    HistoryRules,
    AttemptRules,
    JobRules,
    IdempotencyRules,
    FlightRules,
    DeploymentRules,
    TenancyRules,
    GrantRules,
    WalkRules,
    StaleRules,
    TurnRules,
    RecheckRules,
    TrialRules,
):
    """Subclasses give the fixtures `store` and `age`."""
