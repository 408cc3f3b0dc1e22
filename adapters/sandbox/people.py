"""End users and tags: how Nango turns what a request says of a person into what a connection carries.

Source: Nango 0.71.4, observed (connections-01, reconnect-05, import-01, patch-04 and patch-11).
"""

from __future__ import annotations

from typing import Any

from adapters.sandbox.checks import Field

END_USER = {
    "id": Field("string", required=True),
    "email": Field("string"),
    "display_name": Field("string"),
    "tags": Field("object"),
    "organization": Field("object"),
}


def end_user_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """Give the end user that a request describes, in the shape in which Nango shows it."""
    given = body.get("end_user")
    if given is None:
        return None
    organization = body.get("organization") or given.get("organization")
    return {
        "id": given["id"],
        "display_name": given.get("display_name"),
        "email": given.get("email"),
        "tags": given.get("tags"),
        "organization": organization
        and {"id": organization.get("id"), "display_name": organization.get("display_name")},
    }


def tags_of(body: dict[str, Any], end_user: dict[str, Any] | None) -> dict[str, str]:
    """Give the tags that follow from a request: its own, lower-cased, and those about the end user."""
    tags = {key.lower(): value for key, value in (body.get("tags") or {}).items()}
    if end_user is None:
        return tags
    organization = end_user["organization"] or {}
    derived = {
        "end_user_id": end_user["id"],
        "end_user_email": end_user["email"],
        "organization_id": organization.get("id"),
        "end_user_display_name": end_user["display_name"],
        "organization_display_name": organization.get("display_name"),
    }
    return (end_user["tags"] or {}) | tags | {key: value for key, value in derived.items() if value}
