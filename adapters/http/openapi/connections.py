"""The calls on connections that are there, and on what happened to them."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from adapters.http.inputs import CONNECTION_ID
from adapters.http.openapi import examples
from adapters.http.openapi.operation import Answer, Operation
from adapters.http.requests import END, ConnectionChanges, EventsQuery, ListQuery, Nothing
from adapters.http.schemas import (
    ConnectionDetails,
    ConnectionSummary,
    Deleted,
    EventDetails,
    Refreshed,
    Success,
    SuccessPage,
    Verified,
)
from domain.errors import (
    ConcurrentChange,
    ConnectionNotFound,
    CredentialsUnusable,
    DomainError,
    GatewayNonsense,
    GatewayUnavailable,
    IllegalTransition,
    IntegrationMissing,
    InvalidInput,
    ProviderCallImpossible,
    ProviderCallRefused,
    ProviderUnavailable,
    RefreshNotPossible,
    RefreshRefused,
    not_known,
)

CONNECTIONS, HISTORY = "Connections", "History"
UNKNOWN_FIELD = InvalidInput(("colour", not_known(())))
BAD_LIMIT = InvalidInput(("limit", "must be a whole number from 1 to 100"))

PATH_ID: dict[str, Any] = {
    "id": {
        "description": "The connection's id. A malformed one is as unknown as an unknown one.",
        "type": "string",
        "pattern": f"^{CONNECTION_ID.pattern}{END}",
        "format": "connection-id",
        "example": examples.ID,
    }
}
REMOTE: tuple[DomainError, ...] = (
    GatewayUnavailable(),
    GatewayNonsense(),
    IntegrationMissing("stripe"),
    ProviderCallRefused(),
    ProviderCallImpossible(
        "acme",
        "this deployment does not describe the provider any more; its operator can put the description back",
    ),
    ProviderUnavailable("The provider does not answer. Try again."),
)
"""What may go wrong beyond us; none of it changes a connection."""

LIST = Operation(
    id="listConnections",
    tag=CONNECTIONS,
    summary="List connections",
    description=(
        "All connections of your company, newest first. Where `meta.hasMore` is true, `meta.nextCursor` "
        "given back as `cursor` leads on."
    ),
    query=ListQuery,
    answers={
        200: Answer(
            description="The connections.",
            types=[SuccessPage[ConnectionSummary]],
            examples={"Two connections": examples.LIST},
        )
    },
    refusals=[BAD_LIMIT],
)
GET = Operation(
    id="getConnection",
    tag=CONNECTIONS,
    summary="Get connection",
    path=PATH_ID,
    answers={
        200: Answer(
            description="The connection.",
            types=[Success[ConnectionDetails]],
            examples={"A connection": Success(True, examples.CONNECTION)},
        )
    },
    refusals=[ConnectionNotFound(), UNKNOWN_FIELD],
)
UPDATE = Operation(
    id="updateConnection",
    tag=CONNECTIONS,
    summary="Update connection",
    description="Rename a connection, or replace its metadata. What is left out stays as it is.",
    path=PATH_ID,
    body=Annotated[ConnectionChanges, Meta(extra_json_schema={"minProperties": 1})],
    body_examples={
        "Both": {"name": "Stripe Production", "metadata": {"environment": "production"}},
        "Only the name": {"name": "Stripe Production"},
    },
    answers={
        200: Answer(
            description="The connection as it is now.",
            types=[Success[ConnectionDetails]],
            examples={"A connection": Success(True, examples.CONNECTION)},
        )
    },
    refusals=[ConnectionNotFound(), ConcurrentChange(), InvalidInput(("body", "must be a JSON object"))],
)
DELETE = Operation(
    id="deleteConnection",
    tag=CONNECTIONS,
    summary="Delete connection",
    description=(
        "Revokes and deletes; also removes the connection from Nango. Workflows that use the connection "
        "fail from then on. Where Nango does not answer, the rest is done later."
    ),
    path=PATH_ID,
    body=Nothing,
    answers={
        200: Answer(
            description="It is gone.",
            types=[Success[Deleted]],
            examples={"Deleted": Success(True, examples.DELETED)},
        )
    },
    refusals=[ConnectionNotFound(), ConcurrentChange(), UNKNOWN_FIELD],
)
DISCONNECT = Operation(
    id="disconnectConnection",
    tag=CONNECTIONS,
    summary="Disconnect connection",
    description=(
        "Lets go of the account and keeps the record, which may be authorized again. Disconnecting twice "
        "is fine."
    ),
    path=PATH_ID,
    body=Nothing,
    answers={
        200: Answer(
            description="The connection, disconnected.",
            types=[Success[ConnectionDetails]],
            examples={"Disconnected": Success(True, examples.LET_GO)},
        )
    },
    refusals=[ConnectionNotFound(), ConcurrentChange(), UNKNOWN_FIELD],
)
REFRESH = Operation(
    id="refreshConnection",
    tag=CONNECTIONS,
    summary="Refresh connection",
    description=(
        "Refreshes the credentials by hand, useful when they are about to expire. Where the provider "
        "refuses, the connection's status becomes error (or expired, where no refresh can help any more) "
        "and the answer is 500. A provider or a Nango in trouble changes nothing: 503."
    ),
    path=PATH_ID,
    body=Nothing,
    answers={
        200: Answer(
            description="The credentials are fresh.",
            types=[Success[Refreshed]],
            examples={"Refreshed": Success(True, examples.REFRESHED)},
        )
    },
    refusals=[
        ConnectionNotFound(),
        UNKNOWN_FIELD,
        RefreshNotPossible("Connection not yet authorized - complete OAuth flow first"),
        RefreshRefused("Token expired"),
        IllegalTransition("disconnected", "refreshed"),
        ConcurrentChange(),
        CredentialsUnusable("Nango could not produce credentials."),
        *REMOTE,
    ],
)
VERIFY = Operation(
    id="verifyConnection",
    tag=CONNECTIONS,
    summary="Verify connection",
    description=(
        "Tests the connection's health by verifying the credentials with the provider. The status follows "
        "what the provider says. A provider or a Nango in trouble says nothing of the credentials: 503, and "
        "nothing changes."
    ),
    path=PATH_ID,
    body=Nothing,
    answers={
        200: Answer(
            description="What the provider says.", types=[Success[Verified]], examples=examples.VERIFIED
        )
    },
    refusals=[
        ConnectionNotFound(),
        UNKNOWN_FIELD,
        IllegalTransition("disconnected", "found_healthy"),
        CredentialsUnusable("Nango could not produce credentials."),
        *REMOTE,
    ],
)
_HISTORY = Answer(
    description="What happened, oldest first. Once anything has, there is always a cursor to come back with.",
    types=[SuccessPage[EventDetails]],
    examples={"Created and authorized": examples.EVENTS},
)
EVENTS = Operation(
    id="listConnectionEvents",
    tag=HISTORY,
    summary="History of a connection",
    description="What happened to a connection, oldest first; of a deleted one `/api/v1/events` tells.",
    path=PATH_ID,
    query=EventsQuery,
    answers={200: _HISTORY},
    refusals=[ConnectionNotFound(), BAD_LIMIT],
)
COMPANY_EVENTS = Operation(
    id="listEvents",
    tag=HISTORY,
    summary="History of all connections",
    description=(
        "Poll it: give `meta.nextCursor` as `after`, and only what is new comes. Where nothing has happened "
        "yet there is none: ask again without `after`."
    ),
    query=EventsQuery,
    answers={200: _HISTORY},
    refusals=[BAD_LIMIT],
)
