"""The providers' consent pages: `GET` and `POST /sandbox/{integration}/authorize`.

How a client without JavaScript follows one, cookies not needed:

1. `GET` the authorization URL (`Location` of `/oauth/connect/{integration}`, its `state` replaced or not).
   It answers 200 with a page that holds one form; or 400 where redirect_uri is not a callback URL.
2. `POST` to the same URL, query and all, as `application/x-www-form-urlencoded`, with
   `decision=authorize` or `decision=deny`, and optionally `account=first` (the default) or `account=second`
   (any other `[a-z0-9-]{1,32}` names one more account). The form's hidden fields repeat the query, so that
   posting them to the bare path does the same.
3. It answers 303 with `Location` = redirect_uri with `code` and `state` (QuickBooks adds `realmId`), or with
   `error=access_denied`, `error_description` and `state`. `state` is given back untouched.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aiohttp import web

from adapters.sandbox.accounts import FIRST, SECOND, Account, family_of
from adapters.sandbox.identities import quickbooks_realm
from adapters.sandbox.pages import page
from adapters.sandbox.sandbox import SANDBOX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.sandbox.model import Integration
    from adapters.sandbox.sandbox import Sandbox

ACCOUNT = re.compile(r"^[a-z0-9-]{1,32}$")
MAX_STATE = 4096
DENIED = {"error": "access_denied", "error_description": "The user denied access"}


async def show_consent(request: web.Request) -> web.Response:
    """Ask the user: which account, and yes or no."""
    sandbox = request.app[SANDBOX]
    integration = sandbox.integrations.get(request.match_info["integration"])
    wrong = _wrong(sandbox, integration, request.query)
    if integration is None or wrong:
        return _refused(wrong)
    return page(f"Connect {integration.title}", _form(integration, request.query))


async def decide_consent(request: web.Request) -> web.Response:
    """Send the browser back with the user's answer."""
    sandbox = request.app[SANDBOX]
    form = {key: str(value) for key, value in (await request.post()).items()}
    given = dict(request.query) | form
    integration = sandbox.integrations.get(request.match_info["integration"])
    wrong = _wrong(sandbox, integration, given)
    account = given.get("account", FIRST)
    if not wrong and not ACCOUNT.match(account):
        wrong = "There is no such account."
    if not wrong and given.get("decision") not in {"authorize", "deny"}:
        wrong = "The decision must be authorize or deny."
    if integration is None or wrong:
        return _refused(wrong)
    if given["decision"] == "deny":
        return _back(given, DENIED)
    grant = sandbox.authorization_server.authorize(integration, account, given)
    answer = {"code": grant.code}
    if "realmId" in integration.callback_keys:
        answer["realmId"] = quickbooks_realm(Account(family_of(integration.unique_key), account))
    return _back(given, answer)


def _wrong(sandbox: Sandbox, integration: Integration | None, given: Mapping[str, str]) -> str:
    """Say what is wrong with an authorization request; empty where nothing is."""
    if integration is None or integration.auth_mode != "OAUTH2":
        return "There is no such provider in this sandbox."
    if not sandbox.is_redirect_uri(given.get("redirect_uri", "")):
        return "redirect_uri is not a callback URL of this environment."
    if given.get("response_type") != "code":
        return "response_type must be code."
    if len(given.get("state", "")) > MAX_STATE:
        return "state is too long."
    return ""


def _refused(wrong: str) -> web.Response:
    return page(
        "Authorization refused", f"<h1>This request cannot be authorized</h1><p>{wrong}</p>", status=400
    )


def _back(given: Mapping[str, str], answer: dict[str, str]) -> web.Response:
    parameters = answer | ({"state": given["state"]} if "state" in given else {})
    target = given["redirect_uri"]
    joint = "&" if "?" in target else "?"
    location = f"{target}{joint}{urlencode(parameters)}"
    return web.Response(status=303, headers={"Location": location, "Cache-Control": "no-store"})


def _form(integration: Integration, query: Mapping[str, str]) -> str:
    title = escape(integration.title)
    hidden = "".join(
        f'<input type="hidden" name="{escape(key)}" value="{escape(value)}">'
        for key, value in query.items()
        if key not in {"decision", "account"}
    )
    family = family_of(integration.unique_key)
    choices = "".join(_choice(Account(family, name), checked=name == FIRST) for name in (FIRST, SECOND))
    scope = query.get("scope")
    scopes = f'<p class="scopes">It asks for: <code>{escape(scope)}</code></p>' if scope else ""
    account_id = query.get("accountId")
    where = f" {escape(account_id)}" if account_id else ""
    return (
        f'<div class="logo" aria-hidden="true">{title[:1]}</div>'
        f"<h1>Connect your {title} account{where}</h1>"
        f"<p>Connections would like to reach {title} on your behalf.</p>{scopes}"
        f'<form method="post" action="/sandbox/{escape(integration.unique_key)}/authorize">{hidden}'
        f"<fieldset><legend>Which account?</legend>{choices}</fieldset>"
        f'<div class="actions"><button name="decision" value="deny">Deny</button>'
        f'<button class="yes" name="decision" value="authorize">Authorize</button></div></form>'
    )


def _choice(account: Account, *, checked: bool) -> str:
    return (
        f'<label><input type="radio" name="account" value="{account.name}"{" checked" if checked else ""}>'
        f"<span>{escape(account.company)}<small>{account.email}</small></span></label>"
    )
