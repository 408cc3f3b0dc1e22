"""The use cases as the tests want them: each gives what it was told to, and remembers what it was asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
from attrs import define, field

from adapters.http.use_cases import UseCases
from application.authenticate import Caller
from application.authorization_results import AuthorizationResult, AuthorizationStarted
from application.create_connection import ConnectionCreated
from application.ports import Page, Scope, Session
from application.verify_connection import Verification
from domain.connection import ACTIVE, PENDING, AuthKind, Connection, Origin
from domain.errors import ConnectionNotFound, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.events import Event
    from domain.provider import Provider

Answer = TypeVar("Answer")

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = "conn_550e8400-e29b-41d4-a716-446655440000"
OTHER_ID = "conn_660e8400-e29b-41d4-a716-446655440001"
ABSENT_ID = "conn_770e8400-e29b-41d4-a716-446655440002"

WRITE_KEY, READ_KEY, STRANGER_KEY = "write-key", "read-key", "stranger-key"

STRIPE = Connection(
    id=ID,
    company_id="acme",
    provider="stripe",
    name="Stripe Production",
    status=ACTIVE,
    auth_kind=AuthKind.OAUTH,
    origin=Origin.AUTH_URL,
    integration="stripe",
    nango_id="nango-1",
    external_account_id="acct_xxx",
    metadata={"environment": "production"},
    last_synced_at=datetime(2024, 1, 15, 10, 30, tzinfo=UTC),
    created_at=datetime(2024, 1, 1, 10, tzinfo=UTC),
    updated_at=datetime(2024, 1, 15, 10, 30, tzinfo=UTC),
)
HUBSPOT = attrs.evolve(
    STRIPE,
    id=OTHER_ID,
    provider="hubspot",
    name="HubSpot CRM",
    external_account_id="123456",
    last_synced_at=datetime(2024, 1, 15, 9, tzinfo=UTC),
    created_at=datetime(2024, 1, 5, 10, tzinfo=UTC),
    updated_at=datetime(2024, 1, 15, 9, tzinfo=UTC),
)


@define
class Fake(Generic[Answer]):
    """Gives `answer`, or raises it; `asked` holds the arguments of every call."""

    answer: Answer | Exception
    asked: list[dict[str, Any]] = field(factory=list)

    async def __call__(self, **arguments: Any) -> Answer:
        self.asked.append(arguments)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class FakeAuthenticate:
    """Knows three keys, two of them acme's."""

    async def __call__(self, key: str | None) -> Caller:
        if key == WRITE_KEY:
            return Caller(company_id="acme", scope=Scope.WRITE, actor="api_key:write")
        if key == READ_KEY:
            return Caller(company_id="acme", scope=Scope.READ, actor="api_key:read")
        if key == STRANGER_KEY:
            return Caller(company_id="stranger", scope=Scope.WRITE, actor="api_key:stranger")
        raise Unauthenticated


@define
class FakeFind:
    """Finds the one connection there is, for the company it belongs to."""

    there: Connection | Exception = STRIPE

    async def __call__(self, *, company_id: str, connection_id: str) -> Connection:
        if isinstance(self.there, Exception):
            raise self.there
        if (self.there.company_id, self.there.id) != (company_id, connection_id):
            raise ConnectionNotFound
        return self.there


@define
class FakeUseCases:
    """Every use case of the HTTP adapter, with the answers of the reference's examples."""

    providers: Sequence[Provider] = ()
    authenticate: FakeAuthenticate = field(factory=FakeAuthenticate)
    get_auth_url: Fake[AuthorizationStarted] = field(
        factory=lambda: Fake(
            AuthorizationStarted(
                connection_id=ID,
                provider="stripe",
                url="https://connect.stripe.com/oauth/authorize?client_id=xxx&redirect_uri=xxx&state=xxx",
                is_new=True,
            )
        )
    )
    create_connection: Fake[ConnectionCreated] = field(
        factory=lambda: Fake(
            ConnectionCreated(
                connection_id=ID,
                name="Production Stripe",
                provider="stripe",
                status=PENDING,
                oauth_url="https://api.nango.dev/oauth/connect/stripe?connection_id=xxx&public_key=xxx",
            )
        )
    )
    create_api_key_connection: Fake[ConnectionCreated] = field(
        factory=lambda: Fake(
            ConnectionCreated(connection_id=ID, name="PandaDoc", provider="pandadoc", status=ACTIVE)
        )
    )
    replace_credentials: Fake[Connection] = field(factory=lambda: Fake(STRIPE))
    reauthorize_connection: Fake[AuthorizationStarted] = field(
        factory=lambda: Fake(
            AuthorizationStarted(
                connection_id=ID, provider="stripe", url="https://provider.example/again", is_new=False
            )
        )
    )
    open_connect_session: Fake[Session] = field(
        factory=lambda: Fake(
            Session(token="session-token", connect_link="https://connect.example/s", expires_at=NOON)
        )
    )
    complete_authorization: Fake[AuthorizationResult] = field(
        factory=lambda: Fake(
            AuthorizationResult(connection_id="conn_xxx", provider="stripe", outcome="succeeded")
        )
    )
    report_authorization: Fake[AuthorizationResult] = field(
        factory=lambda: Fake(
            AuthorizationResult(connection_id="conn_xxx", provider="stripe", outcome="succeeded")
        )
    )
    get_connection: FakeFind = field(factory=FakeFind)
    list_connections: Fake[Page[Connection]] = field(
        factory=lambda: Fake(Page[Connection](items=[STRIPE, HUBSPOT], has_more=False))
    )
    update_connection: Fake[Connection] = field(factory=lambda: Fake(STRIPE))
    delete_connection: Fake[None] = field(factory=lambda: Fake[None](None))
    disconnect_connection: Fake[Connection] = field(factory=lambda: Fake(STRIPE))
    refresh_connection: Fake[Connection] = field(factory=lambda: Fake(STRIPE))
    verify_connection: Fake[Verification] = field(
        factory=lambda: Fake(Verification(connection=STRIPE, healthy=True, error=None, checked_at=NOON))
    )
    list_events: Fake[Page[Event]] = field(factory=lambda: Fake(Page["Event"](items=[], has_more=False)))
    receive_webhook: Fake[None] = field(factory=lambda: Fake[None](None))
    check_readiness: Fake[None] = field(factory=lambda: Fake[None](None))

    def list_providers(self) -> Sequence[Provider]:
        return self.providers

    def all(self) -> UseCases:
        """Give them as the adapter takes them."""
        return UseCases(**{name.name: getattr(self, name.name) for name in attrs.fields(UseCases)})
