"""The providers as data: how each is configured in Nango and what its API answers.

Facts from the providers' own API references, shaped by what an identity probe needs: who am I, and how does
a dead credential, a forbidden call or a full bucket look. The accounts are invented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from adapters.sandbox.model import Integration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adapters.sandbox.accounts import Account

Config = dict[str, Any]

INTEGRATIONS = (
    Integration("stripe-app", display_name="Stripe", token_lifetime=3600),
    Integration("salesforce", display_name="Salesforce", scopes="offline_access,api,id", token_lifetime=7200),
    Integration("hubspot", display_name="HubSpot", scopes="oauth", token_lifetime=1800),
    Integration(
        "quickbooks",
        display_name="QuickBooks",
        scopes="com.intuit.quickbooks.accounting",
        callback_keys=("realmId",),
    ),
    Integration("pandadoc", display_name="PandaDoc", scopes="read+write", token_lifetime=31_535_999),
    Integration(
        "netsuite", display_name="NetSuite", scopes="rest_webservices", required_config=("accountId",)
    ),
    Integration(
        "slack", display_name="Slack", scopes="channels:read", token_lifetime=None, refreshable=False
    ),
    Integration(
        "google-mail",
        display_name="Gmail",
        scopes="https://www.googleapis.com/auth/gmail.readonly",
        authorization_params={"access_type": "offline", "prompt": "consent"},
        token_lifetime=3599,
    ),
    Integration("stripe-api-key", "BASIC", display_name="Stripe (API key)"),
    Integration("pandadoc-api-key", "API_KEY", display_name="PandaDoc (API key)", tested=True),
    Integration("netsuite-tba", "TBA", display_name="NetSuite (TBA)"),
)


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


def limited(body: Any) -> Upstream:
    """Build a 429 with Retry-After."""
    return Upstream(429, body, {"Retry-After": "7"})


def slack_error(error: str) -> dict[str, Any]:
    """Slack reports nearly every failure with status 200."""
    return {"ok": False, "error": error}


def stripe_account(account: Account, _config: Config) -> dict[str, Any]:
    """Answer `GET /v1/account`."""
    return {
        "id": stripe_id(account),
        "object": "account",
        "business_profile": {"name": account.company, "url": None},
        "country": "US",
        "default_currency": "usd",
        "email": account.email,
        "settings": {"dashboard": {"display_name": account.company, "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def stripe_id(account: Account) -> str:
    """Give the account's id at Stripe."""
    return f"acct_1{account.letters(15)}"


def salesforce_org(account: Account) -> str:
    """Give the organization's id: eighteen characters that start with 00D."""
    return f"00D{account.letters(15)}"


def slack_team(account: Account) -> str:
    """Give the workspace's id."""
    return f"T{account.letters(10)}"


def quickbooks_realm(account: Account) -> str:
    """Give the company's realm id."""
    return account.digits(16)


def salesforce_user(account: Account, _config: Config) -> dict[str, Any]:
    """Answer `GET /services/oauth2/userinfo`."""
    org, user = salesforce_org(account), f"005{account.letters(15)}"
    return {
        "sub": f"https://login.salesforce.com/id/{org}/{user}",
        "user_id": user,
        "organization_id": org,
        "preferred_username": account.email,
        "name": account.company,
        "email": account.email,
        "active": True,
    }


def quickbooks_company(account: Account, _config: Config) -> dict[str, Any]:
    """Answer `GET /v3/company/{realmId}/companyinfo/{realmId}`; its own Id is not the account."""
    return {
        "CompanyInfo": {"CompanyName": account.company, "LegalName": account.company, "Id": "1"},
        "time": "2026-01-01T00:00:00.000-08:00",
    }


def pandadoc_member(account: Account, _config: Config) -> dict[str, Any]:
    """Answer `GET /public/v1/members/current`."""
    return {
        "user_id": account.letters(22),
        "membership_id": account.letters(20),
        "email": account.email,
        "is_active": True,
        "workspace": account.letters(18),
        "workspace_name": account.company,
    }


def slack_test(account: Account, _config: Config) -> dict[str, Any]:
    """Answer `auth.test`."""
    return {
        "ok": True,
        "url": f"https://{account.name}.slack.com/",
        "team": account.company,
        "user": "connections",
        "team_id": slack_team(account),
        "user_id": f"U{account.letters(10)}",
        "bot_id": f"B{account.letters(10)}",
        "is_enterprise_install": False,
    }


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


def token_fields(family: str, account: Account) -> dict[str, Any]:
    """Give what the provider adds to its token answer, apart from the tokens themselves."""
    if family == "stripe":
        return {"stripe_user_id": stripe_id(account), "livemode": False, "scope": "stripe_apps"}
    if family == "salesforce":
        org, user = salesforce_org(account), f"005{account.letters(15)}"
        return {
            "id": f"https://login.salesforce.com/id/{org}/{user}",
            "instance_url": f"https://{account.name}.my.salesforce.com",
            "scope": "id api refresh_token",
        }
    if family == "slack":
        return {
            "ok": True,
            "app_id": "A0SANDBOX00",
            "team": {"id": slack_team(account), "name": account.company},
            "enterprise": None,
            "bot_user_id": f"B{account.letters(10)}",
        }
    return {}
