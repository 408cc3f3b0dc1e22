"""What the core needs from outside. Adapters subclass these explicitly; contract suites hold them to it."""

from __future__ import annotations

from application.ports.api_keys import ApiKeyRecord, ApiKeys, Scope
from application.ports.echoes import STRUCK, forms, without, without_likely
from application.ports.gateway import (
    AuthGateway,
    Flow,
    GrantDetails,
    Notice,
    NoticeReader,
    ProviderAnswer,
    Session,
)
from application.ports.ids import Ids
from application.ports.providers import (
    Health,
    ProviderAdapter,
    ProviderCatalogue,
    Verdict,
    plain_text,
    spoken,
)
from application.ports.store import (
    ConnectionDetails,
    ConnectionFilter,
    ConnectionSummary,
    Flight,
    FlightKind,
    Page,
    Store,
)
from application.ports.transaction import (
    Attempts,
    Connections,
    IdempotencyRecord,
    IdempotencyRecords,
    Job,
    JobKind,
    Jobs,
    Transaction,
)
from application.ports.watching import HEARTBEAT, Overdue, PoolState, Survey

__all__ = [
    "HEARTBEAT",
    "STRUCK",
    "ApiKeyRecord",
    "ApiKeys",
    "Attempts",
    "AuthGateway",
    "ConnectionDetails",
    "ConnectionFilter",
    "ConnectionSummary",
    "Connections",
    "Flight",
    "FlightKind",
    "Flow",
    "GrantDetails",
    "Health",
    "IdempotencyRecord",
    "IdempotencyRecords",
    "Ids",
    "Job",
    "JobKind",
    "Jobs",
    "Notice",
    "NoticeReader",
    "Overdue",
    "Page",
    "PoolState",
    "ProviderAdapter",
    "ProviderAnswer",
    "ProviderCatalogue",
    "Scope",
    "Session",
    "Store",
    "Survey",
    "Transaction",
    "Verdict",
    "forms",
    "plain_text",
    "spoken",
    "without",
    "without_likely",
]
