"""What goes over the wire, field by field as the reference has it: the answers.

What comes in is in `requests.py`. The order of fields is the order of the reference's examples. Times are
text already (`present.when`): msgspec would write microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Generic, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.errors import CODES
from domain.connection import ConnectionStatus
from domain.events import EventType

Data = TypeVar("Data")

Id = Annotated[str, Meta(description="`conn_` and a UUID.")]
ProviderKey = Annotated[str, Meta(description="The key of a provider.")]
Status = ConnectionStatus  # one type of the document: generators of clients make a class of it
When = Annotated[
    str,
    Meta(description="RFC 3339, UTC, with milliseconds and Z.", extra_json_schema={"format": "date-time"}),
]
What = Annotated[str, Meta(extra_json_schema={"enum": [kind.value for kind in EventType]})]
Account = Annotated[str, Meta(description="The account at the provider, as the provider calls it.")]
Actor = Annotated[
    str,
    Meta(
        description=(
            "Who did it: `api_key:` and how the key begins, `callback` where the user came back, `worker` "
            "for what the service does by itself, `authorization` for the account that one brought."
        )
    ),
]
Reason = Annotated[str, Meta(description="What is wrong, where the status is error or expired.")]
Free = Annotated[Mapping[str, Any], Meta(description="What you gave, unchanged.")]
Cursor = Annotated[str, Meta(description="Where to go on: give it back as it is.")]


class Success(Struct, Generic[Data]):
    """The envelope of everything that went well."""

    success: Annotated[bool, Meta(extra_json_schema={"const": True})]
    data: Data


class PageMeta(Struct, rename="camel"):
    """Whether a list goes on, and where."""

    has_more: bool
    next_cursor: Cursor | UnsetType = UNSET


class SuccessPage(Struct, Generic[Data]):
    """The envelope of a list."""

    success: Annotated[bool, Meta(extra_json_schema={"const": True})]
    data: list[Data]
    meta: PageMeta


class Problem(Struct):
    """What is wrong with one field."""

    field: str
    message: str


class Failure(Struct):
    """What went wrong: a code that never changes, and a sentence."""

    code: Annotated[str, Meta(description="Never changes.", extra_json_schema={"enum": CODES})]
    message: str
    details: Annotated[list[Problem], Meta(description="Everything that is wrong.")] | UnsetType = UNSET


class Refused(Struct):
    """The envelope of everything else."""

    success: Annotated[bool, Meta(extra_json_schema={"const": False})]
    error: Failure


class ConnectionSummary(Struct, rename="camel"):
    """A connection in a list. `errorMessage` where the status is error or expired."""

    id: Id
    name: str
    provider: ProviderKey
    status: Status
    external_account_id: Account | None
    last_synced_at: When | None
    created_at: When
    updated_at: When
    error_message: Reason | UnsetType | None = UNSET


class ConnectionDetails(Struct, rename="camel"):
    """A connection by itself."""

    id: Id
    name: str
    provider: ProviderKey
    status: Status
    external_account_id: Account | None
    last_synced_at: When | None
    metadata: Free
    created_at: When
    updated_at: When
    error_message: Reason | UnsetType | None = UNSET


class AuthUrl(Struct, rename="camel"):
    """Where to send the user."""

    connection_id: Id
    provider: ProviderKey
    auth_url: str
    is_new: bool
    message: str = "Redirect user to authUrl to complete OAuth authorization"


class CreatedConnection(Struct, rename="camel"):
    """A connection that was just created."""

    id: Id
    name: str
    provider: ProviderKey
    status: Status
    oauth_url: str | UnsetType
    message: str


class CompletedAuthorization(Struct, rename="camel"):
    """The callback's answer where there is nowhere to redirect to."""

    connection_id: Id
    provider: ProviderKey
    status: Status
    message: str


class ConnectSession(Struct, rename="camel"):
    """A session for Nango's frontend SDK."""

    token: str
    expires_at: When
    connect_link: Annotated[str, Meta(description="Nango's own page, where it has one.")] | UnsetType = UNSET


class Deleted(Struct):
    """The answer to a delete."""

    deleted: bool = True


class Refreshed(Struct, rename="camel"):
    """The answer to a refresh."""

    id: Id
    last_synced_at: When | None
    message: str = "Connection refresh completed"


class Verified(Struct, rename="camel"):
    """The answer to a verification. A pending connection has no `externalAccountId` at all."""

    healthy: bool
    connection_id: Id
    provider: ProviderKey
    status: Status
    external_account_id: Account | UnsetType | None
    error: str | None
    checked_at: When


class EventDetails(Struct, rename="camel"):
    """One fact of a connection's history; `version` counts them from 1."""

    connection_id: Id
    version: int
    type: What
    at: When
    actor: Actor
    status_before: Status | None
    status: Status
    reason: str | None


class ParameterDetails(Struct):
    """What a provider must be told beside who is asking: `parameters` of a create, the query of auth-url."""

    name: str
    label: str
    required: bool
    pattern: str


class CredentialDetails(Struct):
    """What a connection with credentials needs: the `credentials` and `parameters` of a create."""

    fields: list[str]
    parameters: list[ParameterDetails]


class ProviderDetails(Struct, rename="camel"):
    """A provider, and how it can be connected: `parameters` by OAuth, `credentials` where it takes any."""

    provider: ProviderKey
    name: str
    description: str
    category: str
    docs_url: str | None
    oauth: bool
    api_key: bool
    parameters: list[ParameterDetails]
    credentials: CredentialDetails | UnsetType = UNSET


class State(Struct):
    """The answer of the probes."""

    status: str
