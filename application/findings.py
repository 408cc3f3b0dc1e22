"""What an examination found, for an operator."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from domain.errors import DomainError


class Severity(StrEnum):
    """How bad it is: only ERROR means that something does not work."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@frozen(kw_only=True)
class Finding:
    """What one check found. `advice` says what to do about it, where there is something to do."""

    check: str
    status: Severity
    message: str
    advice: str | None = None


def good(check: str, message: str) -> Finding:
    """Say that all is well."""
    return Finding(check=check, status=Severity.OK, message=message)


def doubtful(check: str, message: str, advice: str) -> Finding:
    """Say that something works less well than it could, or could not be looked at."""
    return Finding(check=check, status=Severity.WARNING, message=message, advice=advice)


def broken(check: str, message: str, advice: str) -> Finding:
    """Say that something does not work."""
    return Finding(check=check, status=Severity.ERROR, message=message, advice=advice)


def told(problem: DomainError) -> str:
    """Give the sentence that callers get, and what only an operator is told beyond it."""
    return f"{problem} ({problem.why})" if problem.why else str(problem)
