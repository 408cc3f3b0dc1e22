"""What a provider asks for before authorizing, and when its refresh tokens end."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput, InvalidParameters
from domain.provider import ApiKey, OAuth, Parameter, ParameterTarget, normalise_parameters
from tests.domain.lives import NOON

ACCOUNT = Parameter(
    name="accountId",
    label="Account id",
    pattern="^[0-9]+(-[a-z0-9]+)?$",
    lowercase=True,
    replace={"_": "-"},
)
REGION = Parameter(name="region", label="Region", pattern="eu|us", required=False)


@pytest.mark.parametrize(
    ("given_value", "kept"),
    [("1234567", "1234567"), ("1234567_SB1", "1234567-sb1"), ("1234567-sb1", "1234567-sb1")],
)
def test_a_value_is_kept_in_its_canonical_form(given_value: str, kept: str) -> None:
    assert normalise_parameters((ACCOUNT,), {"accountId": given_value}) == {"accountId": kept}


@given(st.text())
def test_normalising_twice_is_normalising_once(value: str) -> None:
    try:
        once = ACCOUNT.normalise(value)
    except InvalidInput:
        return
    assert ACCOUNT.normalise(once) == once


@pytest.mark.parametrize("value", ["", "eu ", "xeu", "eu\n", "eus", "EU", "eu|us", "\uff45u"])
def test_a_pattern_speaks_of_the_whole_value(value: str) -> None:
    with pytest.raises(InvalidInput):
        REGION.normalise(value)


@pytest.mark.parametrize("value", ["\u0661\u0662\u0663", "1234567\u212aa"])
def test_a_pattern_speaks_of_ascii(value: str) -> None:
    with pytest.raises(InvalidInput):
        Parameter(name="n", label="N", pattern=r"\d+\w*").normalise(value)


def test_only_what_was_given_is_kept() -> None:
    assert normalise_parameters((ACCOUNT, REGION), {"accountId": "7"}) == {"accountId": "7"}


def test_where_nothing_is_asked_nothing_is_kept() -> None:
    assert normalise_parameters((), {}) == {}


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(InvalidParameters) as caught:
        normalise_parameters((ACCOUNT, REGION), {"region": "mars", "color": "red"})
    assert caught.value.bare() == [
        ("color", "is not known here; known are accountId, region"),
        ("accountId", "is required: Account id"),
        ("region", "must match eu|us (Region)"),
    ]


def test_where_nothing_is_asked_nothing_is_known() -> None:
    with pytest.raises(InvalidParameters) as caught:
        normalise_parameters((), {"color": "red"})
    assert caught.value.details == (("parameters.color", "is not known here; none are"),)


def test_a_mistake_is_named_with_where_it_stands() -> None:
    with pytest.raises(InvalidParameters) as caught:
        normalise_parameters((ACCOUNT,), {})
    assert caught.value.details == (("parameters.accountId", "is required: Account id"),)


@pytest.mark.parametrize(
    ("lifetime", "authorized_at", "age", "outlived"),
    [
        (timedelta(days=7), NOON, timedelta(days=7), True),
        (timedelta(days=7), NOON, timedelta(days=7) - timedelta(seconds=1), False),
        (timedelta(days=7), None, timedelta(days=700), False),
        (None, NOON, timedelta(days=7000), False),
    ],
)
def test_a_refresh_token_is_outlived_at_its_known_end(
    lifetime: timedelta | None, authorized_at: datetime | None, age: timedelta, outlived: bool
) -> None:
    oauth = OAuth(integration="acme", refresh_token_lifetime=lifetime)
    assert oauth.outlived(authorized_at, NOON + age) is outlived


def test_what_was_given_is_sorted_by_where_it_goes() -> None:
    prompt = Parameter(
        name="prompt", label="Prompt", pattern=".*", target=ParameterTarget.AUTHORIZATION_PARAMS
    )
    oauth = OAuth(integration="acme", parameters=(ACCOUNT, REGION, prompt))
    assert oauth.by_target({"accountId": "1234567", "prompt": "login", "forgotten": "x"}) == {
        ParameterTarget.CONNECTION_CONFIG: {"accountId": "1234567"},
        ParameterTarget.AUTHORIZATION_PARAMS: {"prompt": "login"},
    }


@pytest.mark.parametrize(
    ("credentials", "secret"),
    [
        ({"apiKey": "{key}"}, {"key"}),
        ({"username": "{key}", "password": ""}, {"key"}),
        ({"username": "{user}", "password": "{key}"}, {"key"}),
        ({"username": "{user}/token", "password": "{key}"}, {"key"}),
        ({"username": "{key}", "password": "{key}"}, {"key"}),
        ({"token_id": "{user}", "token_secret": "{key}"}, {"user", "key"}),
    ],
)
def test_all_of_the_credentials_are_secret_but_a_user_name_beside_a_password(
    credentials: dict[str, str], secret: set[str]
) -> None:
    api_key = ApiKey(integration="acme", type="ANY", credentials=credentials)
    assert set(api_key.secrets({name: name for name in api_key.fields})) == secret
