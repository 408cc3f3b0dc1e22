"""How findings are told: to people, and to machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from application.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from application.findings import Finding

_MARKS = {Severity.OK: "✓", Severity.WARNING: "!", Severity.ERROR: "✗"}


def passed(findings: Sequence[Finding]) -> bool:
    """Whether nothing is broken; warnings pass."""
    return all(finding.status is not Severity.ERROR for finding in findings)


def as_text(findings: Sequence[Finding]) -> str:
    """Write one line a finding, and the advice beneath."""
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.status]} {finding.check}: {finding.message}")
        if finding.advice is not None:
            lines.append(f"    {finding.advice}")
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """Write a list of {check, status, message, advice}; status is ok, warning or error."""
    told = [
        {"check": each.check, "status": each.status, "message": each.message, "advice": each.advice}
        for each in findings
    ]
    return json.dumps(told, indent=2, ensure_ascii=False)
