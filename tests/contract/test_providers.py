"""How each shipped provider's answers are read: healthy, dead, forbidden, later, nonsense."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import field, frozen

from adapters.catalogue.loader import load_catalogue
from application.ports import Health, ProviderAnswer, Verdict
from domain.errors import GatewayNonsense, InvalidInput, ProviderUnavailable
from domain.provider import normalise_parameters

CATALOGUE = load_catalogue(None, entry_points=False)


@frozen(kw_only=True)
class Sample:
    """One answer of a provider, with what Nango keeps beside it."""

    provider: str
    status: int
    body: Any
    connection_config: dict[str, Any] = field(factory=dict)
    token: dict[str, Any] = field(factory=dict)

    def read(self) -> Verdict:
        answer = ProviderAnswer(status=self.status, body=self.body)
        return CATALOGUE.get(self.provider).read(
            answer, connection_config=self.connection_config, token=self.token
        )


REALM = {"realmId": "9341452000000001"}
SUITE = {"accountId": "1234567-sb1"}
STRIPE = {
    "id": "acct_1Juniper",
    "object": "account",
    "business_profile": {"name": "Juniper & Fern", "url": None},
    "settings": {"dashboard": {"display_name": "Juniper (dashboard)"}},
}
SALESFORCE = {
    "sub": "https://login.salesforce.com/id/00D5e000000AAAAEA0/0055e000000BBBBAA0",
    "organization_id": "00D5e000000AAAAEA0",
    "preferred_username": "ada@juniper.example",
}
HUBSPOT = {"portalId": 62515, "accountType": "STANDARD", "uiDomain": "app.hubspot.com"}
QUICKBOOKS = {"CompanyInfo": {"CompanyName": "Juniper & Fern", "Id": "1"}, "time": "2026-01-01T00:00:00Z"}
PANDADOC = {
    "email": "ada@juniper.example",
    "is_active": True,
    "workspace": "QyRkkYcVQnCuX9F",
    "workspace_name": "Juniper & Fern",
}
SLACK = {
    "ok": True,
    "team": "Juniper & Fern",
    "team_id": "T0JUNIPER",
    "user_id": "U1",
    "is_enterprise_install": False,
}
SLACK_GRID = SLACK | {"is_enterprise_install": True, "enterprise_id": "E0JUNIPER"}
GMAIL = {"emailAddress": "Ada@Juniper.example", "messagesTotal": 12, "historyId": "9"}

HEALTHY = [
    (Sample(provider="stripe", status=200, body=STRIPE), "acct_1Juniper", "Juniper & Fern"),
    (
        Sample(
            provider="stripe", status=200, body=STRIPE, token={"stripe_user_id": "acct_1Token", "scope": "x"}
        ),
        "acct_1Token",
        "Juniper & Fern",
    ),
    (
        Sample(provider="stripe", status=200, body=STRIPE | {"business_profile": {"name": None}}),
        "acct_1Juniper",
        "Juniper (dashboard)",
    ),
    (Sample(provider="salesforce", status=200, body=SALESFORCE), "00D5e000000AAAAEA0", "ada@juniper.example"),
    (Sample(provider="hubspot", status=200, body=HUBSPOT), "62515", "app.hubspot.com"),
    (
        Sample(provider="quickbooks", status=200, body=QUICKBOOKS, connection_config=REALM),
        "9341452000000001",
        "Juniper & Fern",
    ),
    (Sample(provider="pandadoc", status=200, body=PANDADOC), "QyRkkYcVQnCuX9F", "Juniper & Fern"),
    (
        Sample(provider="netsuite", status=200, body={"serverTime": "2026"}, connection_config=SUITE),
        "1234567-sb1",
        "1234567-sb1",
    ),
    (Sample(provider="slack", status=200, body=SLACK), "T0JUNIPER", "Juniper & Fern"),
    (Sample(provider="slack", status=200, body=SLACK_GRID), "E0JUNIPER", "Juniper & Fern"),
    (Sample(provider="gmail", status=200, body=GMAIL), "ada@juniper.example", "Ada@Juniper.example"),
]

DEAD = [
    (
        Sample(provider="stripe", status=401, body={"error": {"message": "Invalid API key provided"}}),
        "Invalid API key provided",
    ),
    (
        Sample(
            provider="salesforce",
            status=401,
            body=[{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}],
        ),
        "Session expired or invalid",
    ),
    # userinfo refuses a bad token with the plain text Bad_OAuth_Token
    (Sample(provider="salesforce", status=403, body=None), "The provider refused the credentials (403)"),
    (
        Sample(provider="hubspot", status=401, body={"status": "error", "message": "The token expired"}),
        "The token expired",
    ),
    (
        Sample(
            provider="quickbooks",
            status=401,
            body={"fault": {"error": [{"message": "AuthenticationFailed", "detail": "Token expired"}]}},
        ),
        "Token expired",
    ),
    (
        Sample(
            provider="quickbooks",
            status=401,
            body={"Fault": {"Error": [{"Message": "message=AuthenticationFailed"}]}},
        ),
        "message=AuthenticationFailed",
    ),
    (
        Sample(provider="pandadoc", status=401, body={"detail": "Authentication credentials are invalid"}),
        "Authentication credentials are invalid",
    ),
    (
        Sample(provider="pandadoc", status=200, body=PANDADOC | {"is_active": False}),
        "The PandaDoc member is not active",
    ),
    (
        Sample(
            provider="netsuite",
            status=401,
            body={"title": "Unauthorized", "o:errorDetails": [{"detail": "Invalid login attempt."}]},
        ),
        "Invalid login attempt.",
    ),
    (Sample(provider="gmail", status=401, body={"error": {"message": "Invalid"}}), "Invalid"),
    *(
        (Sample(provider="slack", status=200, body={"ok": False, "error": word}), f"Slack answered {word}")
        for word in ("invalid_auth", "token_revoked", "account_inactive", "token_expired")
    ),
]

KEYS = [provider.key for provider in CATALOGUE.all()]
READS_JSON = [key for key in KEYS if key != "netsuite"]


def sample_id(value: object) -> str | None:
    return f"{value.provider}-{value.status}" if isinstance(value, Sample) else None


@pytest.mark.parametrize(("sample", "account_id", "account_name"), HEALTHY, ids=sample_id)
def test_a_healthy_answer_names_the_account(sample: Sample, account_id: str, account_name: str) -> None:
    assert sample.read() == Verdict(
        health=Health.HEALTHY, account_id=account_id, account_name=account_name, reason=None
    )


def test_every_provider_has_a_healthy_and_a_dead_sample() -> None:
    assert {sample.provider for sample, *_ in HEALTHY} == set(KEYS)
    assert {sample.provider for sample, *_ in DEAD} == set(KEYS)


@pytest.mark.parametrize(("sample", "reason"), DEAD, ids=sample_id)
def test_a_dead_credential_is_told_in_the_providers_words(sample: Sample, reason: str) -> None:
    assert sample.read() == Verdict(health=Health.DEAD, reason=reason)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("body", [None, {}, [], "text", 7], ids=repr)
def test_a_401_is_dead_whatever_its_body(key: str, body: Any) -> None:
    verdict = Sample(provider=key, status=401, body=body).read()
    assert verdict == Verdict(health=Health.DEAD, reason="The provider refused the credentials (401)")


@pytest.mark.parametrize("key", KEYS)
def test_a_403_means_good_credentials_that_may_not_ask(key: str) -> None:
    body = {"error": {"message": "missing permission"}, "message": "missing permission"}
    assert Sample(provider=key, status=403, body=body).read() == Verdict(health=Health.FORBIDDEN)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
def test_trouble_at_the_provider_says_nothing_of_the_credentials(key: str, status: int) -> None:
    with pytest.raises(ProviderUnavailable) as caught:
        Sample(provider=key, status=status, body={"error": "token_revoked", "is_active": False}).read()
    assert caught.value.retry_after == 5


def test_the_providers_own_retry_after_is_passed_on() -> None:
    answer = ProviderAnswer(status=429, body=None, retry_after=42)
    with pytest.raises(ProviderUnavailable) as caught:
        CATALOGUE.get("hubspot").read(answer, connection_config={}, token={})
    assert caught.value.retry_after == 42


@pytest.mark.parametrize("key", READS_JSON)
def test_a_success_without_json_is_nonsense(key: str) -> None:
    with pytest.raises(GatewayNonsense, match="not JSON"):
        Sample(provider=key, status=200, body=None).read()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("status", [302, 400, 404, 405, 410, 422])
def test_another_refusal_is_nonsense_that_names_its_status(key: str, status: int) -> None:
    with pytest.raises(GatewayNonsense, match=f"answered status {status} to the identity call"):
        Sample(provider=key, status=status, body={"message": "no such thing"}).read()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("body", [{}, [], "text", 7, {"id": {"nested": []}}], ids=repr)
def test_json_of_an_unexpected_shape_never_kills_and_never_invents_an_account(key: str, body: Any) -> None:
    sample = Sample(provider=key, status=200, body=body)
    try:
        verdict = sample.read()
    except (GatewayNonsense, ProviderUnavailable):
        return
    assert verdict == Verdict(health=Health.HEALTHY)


def test_a_plain_verification_without_token_and_config_leaves_the_account_open() -> None:
    verdict = Sample(provider="quickbooks", status=200, body=QUICKBOOKS).read()
    assert verdict.account_id is None


def test_slack_asking_for_patience_is_not_a_dead_credential() -> None:
    with pytest.raises(ProviderUnavailable, match="ratelimited"):
        Sample(provider="slack", status=200, body={"ok": False, "error": "ratelimited"}).read()


def test_slack_without_the_scope_has_good_credentials() -> None:
    sample = Sample(provider="slack", status=200, body={"ok": False, "error": "missing_scope"})
    assert sample.read() == Verdict(health=Health.HEALTHY)


def test_the_providers_words_are_bounded_and_free_of_controls() -> None:
    hostile = "bad\r\nSet-Cookie: a\x00\x1b[31m\u202e\ud800 " + "x" * 1000
    reason = Sample(provider="hubspot", status=401, body={"message": hostile}).read().reason
    assert reason is not None
    assert reason.startswith("bad Set-Cookie: a [31m xxx")
    assert len(reason) == 300


def test_what_an_object_of_a_package_reads_is_made_plain_too() -> None:
    verdict = Verdict(health=Health.HEALTHY, account_id="a\x00" + "1" * 1000, account_name="Ada\u202e")
    assert (verdict.account_id, verdict.account_name) == ("a " + "1" * 298, "Ada")


def test_a_true_or_a_list_is_no_account_id() -> None:
    bodies: list[Any] = [True, ["a"], {"a": 1}, 1.5, "", "  ", None]
    verdicts = [Sample(provider="hubspot", status=200, body={"portalId": value}).read() for value in bodies]
    assert {verdict.account_id for verdict in verdicts} == {None}


def test_netsuites_address_follows_from_the_account() -> None:
    url = CATALOGUE.get("netsuite").base_url({"accountId": "1234567-sb1"})
    assert url == "https://1234567-sb1.suitetalk.api.netsuite.com/services/rest"


def test_no_parameter_can_lead_the_call_to_another_host() -> None:
    url = CATALOGUE.get("netsuite").base_url({"accountId": "evil.example/?#@\\"})
    assert url == "https://evil.example%2F%3F%23%40%5C.suitetalk.api.netsuite.com/services/rest"


def test_an_address_without_its_parameter_is_refused() -> None:
    with pytest.raises(InvalidInput, match="accountId"):
        CATALOGUE.get("netsuite").base_url({})


@pytest.mark.parametrize("key", [key for key in KEYS if key != "netsuite"])
def test_elsewhere_nangos_own_address_serves(key: str) -> None:
    assert CATALOGUE.get(key).base_url({}) is None


@pytest.mark.parametrize("section", ["oauth", "api_key"])
def test_netsuites_account_id_is_normalised_for_both_kinds(section: str) -> None:
    parameters = getattr(CATALOGUE.get("netsuite").provider, section).parameters
    assert normalise_parameters(parameters, {"accountId": "1234567_SB1"}) == {"accountId": "1234567-sb1"}


@pytest.mark.parametrize("value", ["", "sb1", "1234567-", "1234567-sb1.evil", "12 34", "1234567\n", "١٢٣"])
def test_netsuites_account_id_is_digits_and_a_suffix(value: str) -> None:
    oauth = CATALOGUE.get("netsuite").provider.oauth
    assert oauth is not None
    with pytest.raises(InvalidInput, match="accountId"):
        normalise_parameters(oauth.parameters, {"accountId": value})


def test_api_keys_are_put_where_nango_wants_them() -> None:
    keys = {p.key: (p.api_key.type, p.api_key.credentials) for p in CATALOGUE.all() if p.api_key}
    assert keys == {
        "netsuite": ("TBA", {"token_id": "{tokenId}", "token_secret": "{tokenSecret}"}),
        "pandadoc": ("API_KEY", {"apiKey": "{apiKey}"}),
        "stripe": ("BASIC", {"username": "{apiKey}", "password": ""}),
    }


def test_the_references_eight_are_there_with_oauth() -> None:
    described = {p.key: p.description for p in CATALOGUE.all() if p.oauth}
    assert described.pop("netsuite").startswith("ERP.")
    assert described == {
        "gmail": "Email (Google)",
        "hubspot": "Marketing/CRM",
        "pandadoc": "Document signing",
        "quickbooks": "Accounting",
        "salesforce": "CRM",
        "slack": "Messaging",
        "stripe": "Payment processing",
    }


def test_only_where_a_refresh_tokens_end_is_known_is_it_given() -> None:
    lifetimes = {p.key: p.oauth.refresh_token_lifetime for p in CATALOGUE.all() if p.oauth}
    assert {key: value.days for key, value in lifetimes.items() if value} == {
        "netsuite": 7,
        "quickbooks": 1825,
    }
