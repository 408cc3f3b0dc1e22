"""The providers' APIs as data.

Facts from the providers' own API references, shaped by what an identity probe needs: who am I, and how does
a dead credential, a forbidden call or a full bucket look. The accounts are invented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from adapters.sandbox.identities import (
    Config,
    pandadoc_member,
    quickbooks_company,
    salesforce_user,
    slack_test,
    stripe_account,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adapters.sandbox.accounts import Account


@frozen
class Upstream:
    """What a provider answers: status, JSON body (or raw text) and the headers that matter."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class ProviderApi:
    """One provider's API.

    Args:
        paths: From a path to what it answers for an account and the connection's connection_config.
        dead: The answer to a revoked, expired or unknown credential.
        forbidden: The answer to a credential that is good but may not do this.
        rate_limited: The answer to too many calls.

    """

    paths: Mapping[str, Callable[[Account, Config], Any]]
    dead: Upstream
    forbidden: Upstream
    rate_limited: Upstream
    revoked: Upstream | None = None


def limited(body: Any) -> Upstream:
    """Build a 429 with Retry-After."""
    return Upstream(429, body, {"Retry-After": "7"})


def slack_error(error: str) -> dict[str, Any]:
    """Slack reports nearly every failure with status 200."""
    return {"ok": False, "error": error}


PROVIDER_APIS: dict[str, ProviderApi] = {
    "stripe": ProviderApi(
        {
            "/v1/account": stripe_account,
            "/v1/balance": lambda _account, _config: {
                "object": "balance",
                "livemode": False,
                "available": [],
            },
        },
        dead=Upstream(
            401,
            {
                "error": {
                    "message": "Invalid API key provided: rk_test_********",
                    "type": "invalid_request_error",
                }
            },
        ),
        forbidden=Upstream(
            403,
            {
                "error": {
                    "message": "The provided key does not have the required permissions for this endpoint.",
                    "type": "invalid_request_error",
                }
            },
        ),
        rate_limited=limited(
            {
                "error": {
                    "message": "Too many requests.",
                    "type": "invalid_request_error",
                    "code": "rate_limit",
                }
            }
        ),
    ),
    "salesforce": ProviderApi(
        {"/services/oauth2/userinfo": salesforce_user},
        dead=Upstream(401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]),
        forbidden=Upstream(
            403, [{"message": "The REST API is not enabled.", "errorCode": "API_DISABLED_FOR_ORG"}]
        ),
        rate_limited=limited(
            [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
        ),
    ),
    "hubspot": ProviderApi(
        {
            "/account-info/v3/details": lambda account, _config: {
                "portalId": int(account.digits(8)),
                "accountType": "STANDARD",
                "timeZone": "Etc/UTC",
                "companyCurrency": "USD",
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            }
        },
        dead=Upstream(
            401,
            {
                "status": "error",
                "message": "Authentication credentials not found. The access token is expired or invalid.",
                "category": "INVALID_AUTHENTICATION",
            },
        ),
        forbidden=Upstream(
            403,
            {
                "status": "error",
                "message": "This app hasn't been granted all required scopes.",
                "category": "MISSING_SCOPES",
            },
        ),
        rate_limited=limited(
            {
                "status": "error",
                "message": "You have reached your secondly limit.",
                "errorType": "RATE_LIMIT",
                "policyName": "SECONDLY",
            }
        ),
    ),
    "quickbooks": ProviderApi(
        {"/v3/company/{realmId}/companyinfo/{realmId}": quickbooks_company},
        dead=Upstream(
            401,
            {
                "fault": {
                    "error": [
                        {
                            "message": "message=AuthenticationFailed; errorCode=003200; statusCode=401",
                            "detail": "Token expired",
                            "code": "3200",
                        }
                    ],
                    "type": "AUTHENTICATION",
                }
            },
        ),
        forbidden=Upstream(
            403,
            {
                "fault": {
                    "error": [{"message": "message=ApplicationAuthorizationFailed", "code": "3100"}],
                    "type": "AUTHORIZATION",
                }
            },
        ),
        rate_limited=limited({"fault": {"error": [{"message": "message=ThrottleExceeded", "code": "3001"}]}}),
    ),
    "pandadoc": ProviderApi(
        {"/public/v1/members/current": pandadoc_member},
        dead=Upstream(401, {"type": "authentication_error", "detail": "Invalid credentials."}),
        forbidden=Upstream(
            403, {"type": "permissions_error", "detail": "You do not have permission to perform this action."}
        ),
        rate_limited=limited({"type": "request_limited", "detail": "Request was throttled."}),
    ),
    "netsuite": ProviderApi(
        {
            "/services/rest/system/v1/serverTime": lambda _account, _config: {
                "serverTime": "2026-01-01T00:00:00Z"
            }
        },
        dead=Upstream(
            401,
            {
                "title": "Unauthorized",
                "status": 401,
                "o:errorDetails": [{"detail": "Invalid login attempt.", "o:errorCode": "INVALID_LOGIN"}],
            },
        ),
        forbidden=Upstream(
            403,
            {
                "title": "Forbidden",
                "status": 403,
                "o:errorDetails": [
                    {"detail": "Permission violation.", "o:errorCode": "INSUFFICIENT_PERMISSION"}
                ],
            },
        ),
        rate_limited=limited(
            {
                "title": "Too Many Requests",
                "status": 429,
                "o:errorDetails": [{"o:errorCode": "CONCURRENCY_LIMIT_EXCEEDED"}],
            }
        ),
    ),
    "slack": ProviderApi(
        {"/auth.test": slack_test},
        dead=Upstream(200, slack_error("invalid_auth")),
        forbidden=Upstream(200, slack_error("missing_scope")),
        rate_limited=limited(slack_error("ratelimited")),
        revoked=Upstream(200, slack_error("token_revoked")),
    ),
    "google-mail": ProviderApi(
        {
            "/gmail/v1/users/me/profile": lambda account, _config: {
                "emailAddress": account.email,
                "messagesTotal": 1280,
                "threadsTotal": 640,
                "historyId": account.digits(7),
            }
        },
        dead=Upstream(
            401,
            {
                "error": {
                    "code": 401,
                    "message": "Request had invalid authentication credentials.",
                    "status": "UNAUTHENTICATED",
                }
            },
        ),
        forbidden=Upstream(
            403,
            {
                "error": {
                    "code": 403,
                    "message": "Request had insufficient authentication scopes.",
                    "status": "PERMISSION_DENIED",
                }
            },
        ),
        rate_limited=limited(
            {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}}
        ),
    ),
}

GENERIC = ProviderApi(
    {},
    dead=Upstream(401, {"error": {"code": "unauthorized", "message": "The credential is not valid."}}),
    forbidden=Upstream(403, {"error": {"code": "forbidden", "message": "Not allowed."}}),
    rate_limited=limited({"error": {"code": "rate_limited", "message": "Slow down."}}),
)
"""The API of a provider that the sandbox does not know: any path says who the account is."""


def api_of(family: str) -> ProviderApi:
    """Give a provider family's API."""
    return PROVIDER_APIS.get(family, GENERIC)
