"""The examples of the API reference, as answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from adapters.http.schemas import (
    AuthUrl,
    CompletedAuthorization,
    ConnectionDetails,
    ConnectionSummary,
    ConnectSession,
    CreatedConnection,
    CredentialDetails,
    Deleted,
    EventDetails,
    PageMeta,
    ParameterDetails,
    ProviderDetails,
    Refreshed,
    State,
    Success,
    SuccessPage,
    Verified,
)
from domain.connection import ACTIVE, DISCONNECTED, ERROR, PENDING

if TYPE_CHECKING:
    from collections.abc import Mapping

ID = "conn_550e8400-e29b-41d4-a716-446655440000"
_HUBSPOT_ID = "conn_660e8400-e29b-41d4-a716-446655440001"
_BEGAN, _LOOKED = "2024-01-15T10:30:00.000Z", "2024-01-15T10:35:00.000Z"
_STRIPE_URL = "https://connect.stripe.com/oauth/authorize?client_id=xxx&redirect_uri=xxx&state=xxx"
_CREATED = "2024-01-01T10:00:00.000Z"

CONNECTION = ConnectionDetails(
    ID,
    "Stripe Production",
    "stripe",
    ACTIVE,
    "acct_xxx",
    _BEGAN,
    {"environment": "production"},
    _CREATED,
    _BEGAN,
)
LET_GO = ConnectionDetails(
    ID,
    "Stripe Production",
    "stripe",
    DISCONNECTED,
    "acct_xxx",
    _BEGAN,
    {"environment": "production"},
    _CREATED,
    _LOOKED,
)
LIST = SuccessPage(
    True,
    [
        ConnectionSummary(ID, "Stripe Production", "stripe", ACTIVE, "acct_xxx", _BEGAN, _CREATED, _BEGAN),
        ConnectionSummary(
            _HUBSPOT_ID,
            "HubSpot CRM",
            "hubspot",
            ACTIVE,
            "123456",
            "2024-01-15T09:00:00.000Z",
            "2024-01-05T10:00:00.000Z",
            "2024-01-15T09:00:00.000Z",
        ),
    ],
    PageMeta(has_more=False),
)
AUTH_URLS: Mapping[str, Any] = {
    "A new connection": Success(True, AuthUrl(ID, "stripe", _STRIPE_URL, is_new=True)),
    "A connection that is authorized again": Success(
        True, AuthUrl("conn_existing", "stripe", _STRIPE_URL, is_new=False)
    ),
}
COMPLETED = CompletedAuthorization("conn_xxx", "stripe", ACTIVE, "OAuth authorization completed successfully")
UNDECIDED = CompletedAuthorization("conn_xxx", "stripe", PENDING, "OAuth authorization is not confirmed yet")
CREATED: Mapping[str, Any] = {
    "By OAuth": Success(
        True,
        CreatedConnection(
            ID,
            "Production Stripe",
            "stripe",
            PENDING,
            "https://api.nango.dev/oauth/connect/stripe?connection_id=xxx&public_key=xxx",
            "Redirect user to oauthUrl to complete connection",
        ),
    ),
    "With credentials": Success(
        True,
        CreatedConnection(ID, "PandaDoc", "pandadoc", ACTIVE, UNSET, "Connection is ready to use"),
    ),
}
NEW_CONNECTIONS: Mapping[str, Any] = {
    "By OAuth": {
        "name": "Production Stripe",
        "provider": "stripe",
        "metadata": {"environment": "production"},
    },
    "By OAuth, with a parameter": {
        "name": "Books",
        "provider": "netsuite",
        "redirectUrl": "https://app.example.com/settings/connections",
        "parameters": {"accountId": "1234567-sb1"},
    },
    "With credentials": {
        "name": "PandaDoc",
        "provider": "pandadoc",
        "credentials": {"apiKey": "YOUR_PANDADOC_KEY"},
    },
}
DELETED = Deleted()
REFRESHED = Refreshed(ID, _LOOKED)
VERIFIED: Mapping[str, Any] = {
    "Healthy": Success(True, Verified(True, ID, "stripe", ACTIVE, "acct_xxx", None, _LOOKED)),
    "Unhealthy": Success(
        True, Verified(False, ID, "stripe", ERROR, None, "Invalid API key provided", _LOOKED)
    ),
    "Not yet authorized": Success(
        True,
        Verified(
            False,
            ID,
            "stripe",
            PENDING,
            UNSET,
            "Connection not yet authorized - complete OAuth flow first",
            _LOOKED,
        ),
    ),
}
SESSION = ConnectSession(
    "nango_connect_session_xxx", "https://connect.nango.dev/?session_token=xxx", "2024-01-15T11:05:00.000Z"
)
EVENTS = SuccessPage(
    True,
    [
        EventDetails(ID, 1, "created", _CREATED, "api_key:ck_a1b2", None, PENDING, None),
        EventDetails(ID, 2, "authorized", "2024-01-01T10:01:12.000Z", "callback", PENDING, ACTIVE, None),
    ],
    PageMeta(has_more=False, next_cursor="Mg"),
)
_ACCOUNT = ParameterDetails(
    name="accountId", label="NetSuite account id", required=True, pattern="^[0-9]+(-[a-z0-9]+)?$"
)
PROVIDERS = Success(
    True,
    [
        ProviderDetails(
            "netsuite",
            "NetSuite",
            "ERP",
            "erp",
            None,
            oauth=True,
            api_key=True,
            parameters=[_ACCOUNT],
            credentials=CredentialDetails(["tokenId", "tokenSecret"], [_ACCOUNT]),
        ),
        ProviderDetails(
            "slack", "Slack", "Messaging", "messaging", "https://docs.slack.dev", True, False, []
        ),
    ],
)
STATES: Mapping[str, Success[State]] = {
    state: Success(True, State(state)) for state in ("ok", "ready", "received")
}
