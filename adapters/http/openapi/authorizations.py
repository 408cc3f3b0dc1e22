"""The calls that begin an authorization, and the addresses where browsers come back."""

from __future__ import annotations

from adapters.http.openapi import examples
from adapters.http.openapi.connections import PATH_ID, REMOTE
from adapters.http.openapi.operation import Answer, Operation
from adapters.http.requests import (
    END,
    AuthUrlQuery,
    NewAuthorization,
    NewConnection,
    NewSession,
    RelayQuery,
    ReportQuery,
)
from adapters.http.schemas import (
    AuthUrl,
    CompletedAuthorization,
    ConnectionDetails,
    ConnectSession,
    CreatedConnection,
    Success,
)
from domain.errors import (
    ActiveConnectionExists,
    AuthorizationFailed,
    AuthorizationNotFound,
    AuthorizationSuperseded,
    ConcurrentChange,
    ConnectionNotFound,
    CredentialsRefused,
    DomainError,
    IdempotencyKeyReused,
    InvalidInput,
    InvalidParameters,
    StoreUnavailable,
    TooManyAttempts,
)

AUTHORIZATION = "Authorization"
BROWSERS = "Where browsers come back"
_RETURN = "https://app.example.com/settings/connections"
_MISSING = InvalidParameters(("accountId", "is required: NetSuite account id"))
_STARTING: tuple[DomainError, ...] = (
    InvalidInput(("redirectUrl", "must use https; http is for localhost only")),
    TooManyAttempts(60),
    ConcurrentChange(),
    *REMOTE,
)

AUTH_URL = Operation(
    id="getAuthUrl",
    tag=AUTHORIZATION,
    summary="Get auth URL",
    description=(
        "Creates a pending connection and returns the URL to send the user to. A pending connection of the "
        "provider is used again; one in error, expired or disconnected status is authorized again, and "
        "`isNew` is false. An active one blocks. Needs a key that may write."
    ),
    path={"provider": {"description": "Which provider to connect.", "type": "string", "example": "stripe"}},
    query=AuthUrlQuery,
    open_query="provider",
    answers={
        200: Answer(
            description="Redirect the user to `authUrl`.",
            types=[Success[AuthUrl]],
            examples=examples.AUTH_URLS,
        )
    },
    refusals=[ActiveConnectionExists("stripe"), InvalidInput(*_MISSING.bare()), *_STARTING],
)
CREATE = Operation(
    id="createConnection",
    tag=AUTHORIZATION,
    summary="Create connection",
    description=(
        "Initiates a new connection: always another one. By OAuth it is pending until the user has followed "
        "`oauthUrl`; with `credentials` it is tried with the provider at once, and there is no `oauthUrl`."
    ),
    headers={
        "Idempotency-Key": {
            "description": (
                "Makes a repetition safe: the same key with the same request gives the same answer for "
                "24 hours, with another request 422. A repetition waits for the answer of a request that is "
                "under way; 8 s after that began it finishes what was left half done, for then its process "
                "has died; if another URL has made the connection active since, it is told so, without "
                "`oauthUrl`. Where the first came to nothing, the repetition begins anew. "
                "After a 503, or no answer at all, repeat with the same key."
            ),
            "type": "string",
            "pattern": rf"^[!-~]{{1,255}}{END}",
            "format": "idempotency-key",
        }
    },
    body=NewConnection,
    body_examples=examples.NEW_CONNECTIONS,
    answers={
        201: Answer(
            description="The connection. With OAuth, redirect the user to `oauthUrl`.",
            types=[Success[CreatedConnection]],
            examples=examples.CREATED,
        )
    },
    refusals=[CredentialsRefused("Invalid API key provided"), IdempotencyKeyReused(), _MISSING, *_STARTING],
)
REAUTHORIZE = Operation(
    id="reauthorizeConnection",
    tag=AUTHORIZATION,
    summary="Reauthorize connection",
    description=(
        "Authorizes this connection again, whichever others there are: by OAuth where it is not active, or "
        "with new `credentials` where it has credentials; these are tried before they replace the old."
    ),
    path=PATH_ID,
    body=NewAuthorization,
    body_optional=True,
    body_examples={
        "By OAuth": {"redirectUrl": _RETURN},
        "With credentials": {"credentials": {"apiKey": "YOUR_PANDADOC_KEY"}},
    },
    answers={
        200: Answer(
            description="By OAuth: redirect the user to `authUrl`. With credentials: the connection.",
            types=[Success[AuthUrl], Success[ConnectionDetails]],
            examples={
                "By OAuth": examples.AUTH_URLS["A connection that is authorized again"],
                "With credentials": Success(True, examples.CONNECTION),
            },
        )
    },
    refusals=[
        ConnectionNotFound(),
        ActiveConnectionExists("stripe"),
        CredentialsRefused("Invalid API key provided"),
        _MISSING,
        *_STARTING,
    ],
)
CONNECT_SESSION = Operation(
    id="createConnectSession",
    tag=AUTHORIZATION,
    summary="Create connect session",
    description=(
        "For front ends that run Nango's own SDK instead of following a URL: a Nango session for this "
        "connection. When the SDK is done, send the browser to the OAuth callback below."
    ),
    path=PATH_ID,
    body=NewSession,
    body_optional=True,
    body_examples={"With a redirectUrl": {"redirectUrl": _RETURN}},
    answers={
        201: Answer(
            description="The session.",
            types=[Success[ConnectSession]],
            examples={"A session": Success(True, examples.SESSION)},
        )
    },
    refusals=[ConnectionNotFound(), ActiveConnectionExists("stripe"), *_STARTING],
)

_ENDINGS: dict[int, Answer] = {
    200: Answer(
        description="It succeeded, and there is no redirectUrl: JSON, or a page for a browser.",
        types=[Success[CompletedAuthorization]],
        examples={"Without a redirectUrl": Success(True, examples.COMPLETED)},
        html=True,
    ),
    202: Answer(
        description="Not known yet: JSON, or a page for a browser, which looks again.",
        types=[Success[CompletedAuthorization]],
        examples={"Not confirmed yet": Success(True, examples.UNDECIDED)},
        html=True,
    ),
    303: Answer(
        description="There is a redirectUrl: it leads there.",
        headers={
            "Location": (
                f"The redirectUrl with the outcome in its query: `{_RETURN}?success=true&connectionId=xxx&"
                f"provider=stripe`, or `{_RETURN}?error=access_denied&connectionId=xxx`"
            )
        },
    ),
}
REPORT = Operation(
    id="reportAuthorization",
    tag=BROWSERS,
    summary="OAuth callback",
    description=(
        "Where the user's browser comes back after authorizing through Nango's SDK. No API key: it proves "
        "nothing, it only makes us ask Nango and chooses the answer."
    ),
    path={
        "provider": {
            "description": "The connection's provider; another one is 404.",
            "type": "string",
            "example": "stripe",
        }
    },
    query=ReportQuery,
    open_query="any",
    answers=_ENDINGS,
    refusals=[
        ConnectionNotFound(),
        AuthorizationFailed("access_denied"),
        AuthorizationSuperseded(),
        InvalidInput(("success", "must be true or false")),
        StoreUnavailable(),
    ],
    html=True,
)
RELAY = Operation(
    id="relayAuthorization",
    tag=BROWSERS,
    summary="OAuth relay",
    description=(
        "What Nango's callback URL is to be set to: providers send the user's browser here, with whatever "
        "parameters they like, and all of them are passed on to Nango. Not for you to call. "
        "Parameters may repeat, but for `state`."
    ),
    query=RelayQuery,
    open_query="any",
    answers={
        **_ENDINGS,
        307: Answer(
            description="Not our flow: `state` does not begin with `cs_`. Nango's own callback has it.",
            headers={"Location": "Nango's callback, with the same query."},
        ),
    },
    refusals=[
        AuthorizationNotFound(),
        AuthorizationFailed("access_denied"),
        AuthorizationSuperseded(),
        InvalidInput(("state", "must be given once")),
        StoreUnavailable(),
    ],
    html=True,
)
