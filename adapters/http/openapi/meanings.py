"""What each field of a request is for; its rule is with its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.http import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

_REDIRECT = "Where to send the user after OAuth completes."
_PARAMETERS = "What the provider must be told first, such as NetSuite's accountId."

MEANINGS: Mapping[type[Struct], Mapping[str, str]] = {
    requests.ListQuery: {
        "provider": (
            "Only connections of this provider. Any key is taken, for connections outlive the providers that "
            "a deployment removes: one that has none gives an empty list."
        ),
        "status": "Only connections in this status.",
        "name": "Only connections whose name contains this, in any case.",
        "externalAccountId": "Only connections to this account.",
        "limit": "How many at most.",
        "cursor": "Where to go on.",
    },
    requests.EventsQuery: {"after": "Only what was told after this.", "limit": "How many at most."},
    requests.AuthUrlQuery: {
        "redirectUrl": _REDIRECT,
        "connectionName": (
            "Custom name for the connection, taken at once, whatever becomes of the authorization. Without "
            "one a new connection has the provider's name, and another one keeps its own."
        ),
    },
    requests.ReportQuery: {
        "connectionId": "The connection id from the auth flow; without it: 404.",
        "success": "What the front end has seen. It chooses the answer and proves nothing.",
        "error": "Error message if the authorization failed.",
        "redirectUrl": (
            "Where to send the user. Followed only where it equals the one that the flow was begun with, "
            "or where its origin is one that the deployment allows."
        ),
    },
    requests.RelayQuery: {
        "state": "What the provider was given; the only parameter that we read.",
    },
    requests.NewConnection: {
        "name": "Display name.",
        "provider": "Provider name.",
        "metadata": "Additional metadata. It is yours: kept and given back, never read.",
        "redirectUrl": _REDIRECT,
        "parameters": _PARAMETERS,
        "credentials": "Credentials instead of OAuth. They go to Nango and are not kept here.",
    },
    requests.ConnectionChanges: {
        "name": "The new display name.",
        "metadata": "The new metadata: replaces the old as a whole.",
    },
    requests.NewAuthorization: {
        "redirectUrl": _REDIRECT,
        "parameters": f"{_PARAMETERS} Those left out stay as they were.",
        "credentials": "New credentials, for a connection that has no OAuth.",
    },
    requests.NewSession: {"redirectUrl": _REDIRECT},
}
