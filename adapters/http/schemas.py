"""What goes over the wire, field by field as the reference has it: the answers.

What comes in is in `requests.py`. The order of fields is the order of the reference's examples. Times are
text already (`present.when`): msgspec would write microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from msgspec import UNSET, Struct, UnsetType

Data = TypeVar("Data")


class Success(Struct, Generic[Data]):
    """The envelope of everything that went well."""

    success: bool
    data: Data


class PageMeta(Struct, rename="camel"):
    """Whether a list goes on, and where."""

    has_more: bool
    next_cursor: str | UnsetType = UNSET


class SuccessPage(Struct, Generic[Data]):
    """The envelope of a list."""

    success: bool
    data: list[Data]
    meta: PageMeta


class Problem(Struct):
    """What is wrong with one field."""

    field: str
    message: str


class Failure(Struct):
    """What went wrong: a code that never changes, and a sentence."""

    code: str
    message: str
    details: list[Problem] | UnsetType = UNSET


class Refused(Struct):
    """The envelope of everything else."""

    success: bool
    error: Failure


class ConnectionSummary(Struct, rename="camel"):
    """A connection in a list. `error_message` where the status is error or expired."""

    id: str
    name: str
    provider: str
    status: str
    external_account_id: str | None
    last_synced_at: str | None
    created_at: str
    updated_at: str
    error_message: str | UnsetType | None = UNSET


class ConnectionDetails(Struct, rename="camel"):
    """A connection by itself."""

    id: str
    name: str
    provider: str
    status: str
    external_account_id: str | None
    last_synced_at: str | None
    metadata: Mapping[str, Any]
    created_at: str
    updated_at: str
    error_message: str | UnsetType | None = UNSET


class AuthUrl(Struct, rename="camel"):
    """Where to send the user."""

    connection_id: str
    provider: str
    auth_url: str
    is_new: bool
    message: str = "Redirect user to authUrl to complete OAuth authorization"


class CreatedConnection(Struct, rename="camel"):
    """A connection that was just created."""

    id: str
    name: str
    provider: str
    status: str
    oauth_url: str | UnsetType
    message: str


class CompletedAuthorization(Struct, rename="camel"):
    """The callback's answer where there is nowhere to redirect to."""

    connection_id: str
    provider: str
    status: str
    message: str


class ConnectSession(Struct, rename="camel"):
    """A session for Nango's frontend SDK."""

    token: str
    connect_link: str
    expires_at: str


class Deleted(Struct):
    """The answer to a delete."""

    deleted: bool = True


class Refreshed(Struct, rename="camel"):
    """The answer to a refresh."""

    id: str
    last_synced_at: str | None
    message: str = "Connection refresh completed"


class Verified(Struct, rename="camel"):
    """The answer to a verification. A pending connection has no `external_account_id` at all."""

    healthy: bool
    connection_id: str
    provider: str
    status: str
    external_account_id: str | UnsetType | None
    error: str | None
    checked_at: str


class EventDetails(Struct, rename="camel"):
    """One fact of a connection's history; `version` counts them from 1."""

    connection_id: str
    version: int
    type: str
    at: str
    actor: str
    status_before: str | None
    status: str
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

    provider: str
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
