"""Who an account is, in each provider's words: the answers to identity calls and what token answers add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.sandbox.accounts import Account

Config = dict[str, Any]


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
