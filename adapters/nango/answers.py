"""What Nango's answers look like: the parts we read, parsed strictly; anything else is nonsense.

Source: Nango 0.71.4, observed. Fields we do not read are tolerated, so that a newer server may add some.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from domain.errors import GatewayNonsense

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
T = TypeVar("T")

_FAR_OFF = re.compile(r"\+[0-9]{6}-[0-9T:.-]+Z")
"""How JavaScript writes a year beyond 9999: some providers say "never" by a very large `expires_in`."""


class SessionData(msgspec.Struct, frozen=True):
    """A connect session."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    expires_at: Instant
    connect_link: str | None = None

    def __repr__(self) -> str:
        """Keep the token out."""
        return "SessionData(…)"


class SessionAnswer(msgspec.Struct, frozen=True):
    """The answer to `POST /connect/sessions` and `/connect/sessions/reconnect`."""

    data: SessionData


class HealthSign(msgspec.Struct, frozen=True):
    """A sign of ill health in Nango's list."""

    type: str


class ListedConnection(msgspec.Struct, frozen=True):
    """A connection in Nango's list."""

    connection_id: str
    provider_config_key: str
    tags: dict[str, str] | None = None
    errors: list[HealthSign] | None = None


class ConnectionList(msgspec.Struct, frozen=True):
    """The answer to `GET /connections`."""

    connections: list[ListedConnection]


class CredentialsData(msgspec.Struct, frozen=True):
    """Of the credentials, what says how long they live and whose they are."""

    expires_at: str | None = None
    raw: dict[str, Any] | None = None

    def __repr__(self) -> str:
        """Keep the tokens out."""
        return "CredentialsData(…)"

    @property
    def end(self) -> datetime | None:
        """When they end; None where they do not, or at a time that no calendar of ours has.

        Raises:
            GatewayNonsense: not an instant.

        """
        if self.expires_at is None or _FAR_OFF.fullmatch(self.expires_at):
            return None
        try:
            return msgspec.convert(self.expires_at, type=Instant)
        except msgspec.ValidationError:
            raise GatewayNonsense from None


class ConnectionAnswer(msgspec.Struct, frozen=True):
    """The answer to `GET /connections/{id}`."""

    connection_id: str
    provider_config_key: str
    credentials: CredentialsData
    connection_config: dict[str, Any] | None = None


class ImportAnswer(msgspec.Struct, frozen=True):
    """The answer to `POST /connections`; the secrets in it are skipped."""

    connection_id: str


class DeleteAnswer(msgspec.Struct, frozen=True):
    """The answer to `DELETE /connections/{id}`; no success where another deletion was there first."""

    success: bool


class IntegrationData(msgspec.Struct, frozen=True):
    """An integration."""

    unique_key: str


class IntegrationList(msgspec.Struct, frozen=True):
    """The answer to `GET /integrations`."""

    data: list[IntegrationData]


class Issue(msgspec.Struct, frozen=True):
    """One fault that Nango found in a request."""

    message: str = ""
    code: Any = None
    path: Any = None


class Problem(msgspec.Struct, frozen=True):
    """What is inside Nango's `{"error": …}`. Its payload holds connections, so it is never decoded."""

    code: str = ""
    message: str = ""
    errors: list[Issue] = []

    def says(self, sentence: str) -> bool:
        """Whether this is the message, or that of one of the faults."""
        return sentence == self.message or any(sentence == issue.message for issue in self.errors)

    def finds(self, code: str, field: str) -> bool:
        """Whether one of the faults is of this code and within this field of what was sent."""
        return any(
            issue.code == code and isinstance(issue.path, list) and issue.path[:1] == [field]
            for issue in self.errors
        )


class ProblemAnswer(msgspec.Struct, frozen=True):
    """Any answer of Nango's other than success."""

    error: Problem


def decode(body: bytes, kind: type[T]) -> T:
    """Read an answer.

    Raises:
        GatewayNonsense: it is not what Nango answers here.

    """
    decoded = decoded_or_none(body, kind)
    if decoded is None:
        raise GatewayNonsense
    return decoded


def decoded_or_none(body: bytes, kind: type[T]) -> T | None:
    """Read JSON that may well be something else; None where it is, or is nested beyond reason."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError):
        return None
