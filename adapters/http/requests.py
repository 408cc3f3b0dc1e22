"""What comes in over the wire: queries and bodies, each field with its rule.

A field's `description` completes the sentence "<field> must be …", in errors as in the documentation;
`extra["check"]` is a rule that a schema cannot say: it gives what is wrong, or None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from domain.connection import ConnectionStatus
from domain.errors import InvalidInput
from domain.redirect import MAX_LENGTH, RedirectUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

METADATA_BYTES = 16 * 1024
METADATA_KEYS = 256
METADATA_DEPTH = 16


def _check_redirect_url(text: str) -> str | None:
    try:
        RedirectUrl.parse(text)
    except InvalidInput as problem:
        return "; ".join(message for _, message in problem.details)
    return None


def _check_metadata(metadata: dict[str, Any]) -> str | None:
    if len(msgspec.json.encode(metadata)) > METADATA_BYTES:
        return f"must be at most {METADATA_BYTES} bytes of JSON"
    objects = list(_containers(metadata, 1))
    if sum(len(value) for value, _ in objects if isinstance(value, dict)) > METADATA_KEYS:
        return f"must have at most {METADATA_KEYS} keys in all"
    if max(depth for _, depth in objects) > METADATA_DEPTH:
        return f"must not be nested deeper than {METADATA_DEPTH} levels"
    return None


def _containers(value: Any, depth: int) -> Iterator[tuple[Any, int]]:
    if isinstance(value, (dict, list)):
        yield value, depth
        for item in value.values() if isinstance(value, dict) else value:
            yield from _containers(item, depth + 1)


_CONTROLS = r"\x00-\x1f\x7f-\x9f"
NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no NUL in a text."""

END = r"$(?!\n)"
"""The end of a text in Python, whose `$` also stands before a last line feed, as in JSON Schema's dialect."""

Name = Annotated[
    str,
    Meta(
        max_length=400,  # with the blanks around it: keeps the pattern from wandering through a whole body
        pattern=rf"^\s*[^\s{_CONTROLS}](?:[^{_CONTROLS}]{{0,198}}[^\s{_CONTROLS}])?\s*$",
        description="1 to 200 characters, none of them a control character",
    ),
]
Provider = Annotated[
    str, Meta(pattern=rf"^[A-Za-z0-9][A-Za-z0-9_-]{{0,63}}{END}", description="the key of a provider")
]
Filter = Annotated[
    str,
    Meta(pattern=rf"^[^{_CONTROLS}]{{1,255}}{END}", description="1 to 255 characters, no control characters"),
]
Cursor = Annotated[
    str,
    Meta(
        pattern=rf"^[!-~]{{1,512}}{END}",
        description="a cursor as `meta.nextCursor` gave it",
        extra_json_schema={"format": "cursor"},
    ),
]
Limit = Annotated[int, Meta(ge=1, le=100, description="a whole number from 1 to 100")]
Redirect = Annotated[
    str,
    Meta(
        max_length=MAX_LENGTH,
        description=(
            f"an https URL (or http on localhost) of at most {MAX_LENGTH} visible ASCII characters, others "
            "percent-encoded"
        ),
        pattern=rf"^[Hh][Tt][Tt][Pp][Ss]?://[!#-;=?-\[\]_a-z~]+{END}",
        extra={"check": _check_redirect_url},
        extra_json_schema={"format": "redirect-url"},
    ),
]
Metadata = Annotated[
    dict[str, Any],
    Meta(
        description=(
            f"a JSON object of at most {METADATA_BYTES} bytes, with at most {METADATA_KEYS} keys in all and "
            f"not deeper than {METADATA_DEPTH} levels"
        ),
        extra={"check": _check_metadata},
        extra_json_schema={
            "propertyNames": {"pattern": NO_NUL},
            "additionalProperties": {"$ref": "#/components/schemas/Json"},
            "maxProperties": METADATA_KEYS,
        },
    ),
]
_Parameter = Annotated[
    str,
    Meta(
        pattern=rf"^[^{_CONTROLS}]{{1,1024}}{END}",
        description="a text of 1 to 1024 characters, no control characters",
    ),
]
Parameters = Annotated[
    dict[str, _Parameter], Meta(max_length=32, description="an object of at most 32 texts")
]
_Credential = Annotated[
    str, Meta(max_length=4096, description="a text of 1 to 4096 visible ASCII characters")
]
Credentials = Annotated[
    dict[str, _Credential],
    Meta(
        max_length=16,
        description=(
            "an object of at most 16 texts, the fields that `GET /api/v1/providers` names for the provider"
        ),
    ),
]
Status = Annotated[
    ConnectionStatus, Meta(description="one of " + ", ".join(status.value for status in ConnectionStatus))
]


class Nothing(Struct, forbid_unknown_fields=True):
    """No parameters, or no fields."""


class ProviderPath(Struct, forbid_unknown_fields=True):
    """The path of auth-url."""

    provider: Provider


class ListQuery(Struct, rename="camel", forbid_unknown_fields=True):
    """The query of a list of connections."""

    provider: Provider | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    name: Filter | UnsetType = UNSET
    external_account_id: Filter | UnsetType = UNSET
    limit: Limit = 50
    cursor: Cursor | UnsetType = UNSET


class EventsQuery(Struct, rename="camel", forbid_unknown_fields=True):
    """The query of a history."""

    after: Cursor | UnsetType = UNSET
    limit: Limit = 50


class AuthUrlQuery(Struct, rename="camel", forbid_unknown_fields=True):
    """The query of auth-url; whatever else is in it is a parameter of the provider."""

    redirect_url: Redirect | UnsetType = UNSET
    connection_name: Name | UnsetType = UNSET


class ReportQuery(Struct, rename="camel", forbid_unknown_fields=True):
    """The query of the reference's callback; whatever else is in it is ignored."""

    connection_id: Annotated[
        str, Meta(extra_json_schema={"example": "conn_550e8400-e29b-41d4-a716-446655440000"})
    ] = ""
    success: (
        Annotated[
            Literal["true", "false"],
            Meta(description="true or false", extra_json_schema={"example": "true"}),
        ]
        | UnsetType
    ) = UNSET
    error: str | UnsetType = UNSET
    redirect_url: str | UnsetType = UNSET


class RelayQuery(Struct, forbid_unknown_fields=True):
    """The query of the relay, as far as we read it; all of it is the provider's and Nango's."""

    state: str | UnsetType = UNSET


class NewConnection(Struct, rename="camel", forbid_unknown_fields=True):
    """The body of a create."""

    name: Name
    provider: Provider
    metadata: Metadata = {}
    redirect_url: Redirect | UnsetType = UNSET
    parameters: Parameters = {}
    credentials: Credentials | UnsetType = UNSET


class ConnectionChanges(Struct, rename="camel", forbid_unknown_fields=True):
    """The body of an update; the metadata is replaced as a whole."""

    name: Name | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class NewAuthorization(Struct, rename="camel", forbid_unknown_fields=True):
    """The body of a reauthorize."""

    redirect_url: Redirect | UnsetType = UNSET
    parameters: Parameters | UnsetType = UNSET
    credentials: Credentials | UnsetType = UNSET


class NewSession(Struct, rename="camel", forbid_unknown_fields=True):
    """The body of a connect-session."""

    redirect_url: Redirect | UnsetType = UNSET
