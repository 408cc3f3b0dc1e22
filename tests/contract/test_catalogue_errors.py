"""A bad provider file is refused with its file, line, key and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapters.catalogue.errors import CatalogueError
from adapters.catalogue.loader import _from_folder, load_catalogue
from adapters.catalogue.provider_file import ProviderFile

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
key = "acme"
name = "Acme"
description = "CRM"
category = "crm"
docs_url = "https://acme.example/docs"

[oauth]
integration = "acme"
refresh_token_lifetime = "100d"

[[oauth.parameters]]
name = "region"
label = "Region"
pattern = "^[a-z]+$"

[[oauth.parameters]]
name = "accountId"
label = "Account id"
pattern = "^[0-9]+$"
required = false

[api_key]
integration = "acme-api-key"
type = "API_KEY"

[api_key.credentials]
apiKey = "{apiKey}"

[identity]
method = "GET"
path = "/v1/me/${connectionConfig.region}"
headers = { accept = "application/json" }
base_url = ""
healthy = "response.ok == `true`"
dead = "response.error == 'token_revoked'"
account_id = "response.id"
account_name = "response.name"
error_message = "response.error.message"
"""

# what to replace, by what, then the line, the key and the reason that the error gives
VIOLATIONS = [
    ('key = "acme"', 'key = "acme', 1, None, "Illegal character '\\n'"),
    ('name = "Acme"', 'name = "Acme"\nname = "Acme"', 3, None, "Cannot overwrite a value"),
    ('key = "acme"\n', "", 1, "key", "is required"),
    ('key = "acme"', 'key = "Acme"', 1, "key", "must be a lower-case letter and"),
    ('key = "acme"', 'key = "acme2"', 1, "key", "is 'acme2', but the file is named 'acme'"),
    ('name = "Acme"', "name = 5", 2, "name", 'must be a text, in "quotes", not 5'),
    ('description = "CRM"', 'description = ""', 3, "description", "must not be empty"),
    ('category = "crm"', 'category = "crm"\nicon = "x"', 5, "icon", "is not known here; known are key, name"),
    ('"https://acme.example/docs"', '"javascript:alert(1)"', 5, "docs_url", "must be an https:// address"),
    ('[oauth]\nintegration = "acme"', "[oauth]", 7, "oauth.integration", "is required"),
    ('integration = "acme"', 'integraton = "acme"', 8, "oauth.integraton", "is not known here"),
    ('"100d"', '"100 days"', 9, "oauth.refresh_token_lifetime", "must be days or hours such as 90d"),
    ('"100d"', "100", 9, "oauth.refresh_token_lifetime", 'must be a text, in "quotes"'),
    ('name = "region"', 'name = "r-1"', 12, "oauth.parameters[0].name", "must be a letter and more letters"),
    ('name = "region"', 'name = "redirectUrl"', 12, "oauth.parameters[0].name", "auth-url takes for itself"),
    ('"^[a-z]+$"', '"^[a-z+$"', 14, "oauth.parameters[0].pattern", "is not a regular expression"),
    ('label = "Account id"\n', "", 16, "oauth.parameters[1].label", "is required"),
    ('"^[0-9]+$"', '"(?P<x"', 19, "oauth.parameters[1].pattern", "is not a regular expression"),
    ("required = false", 'required = "no"', 20, "oauth.parameters[1].required", "must be true or false"),
    ("required = false", 'target = "body"', 20, "oauth.parameters[1].target", "must be connection_config or"),
    ('type = "API_KEY"', 'type = "key"', 24, "api_key.type", "must be one of Nango's types"),
    ('"{apiKey}"', '"{api key}"', 27, "api_key.credentials.apiKey", "has a brace that belongs to no {name}"),
    ('"{apiKey}"', '"{apiKey"', 27, "api_key.credentials.apiKey", "has a brace that belongs to no {name}"),
    ('apiKey = "{apiKey}"', "", 26, "api_key.credentials.apiKey", "is required"),
    ('method = "GET"', 'method = "DELETE"', 30, "identity.method", "must be GET or POST, not 'DELETE'"),
    ('"/v1/me/$', '"v1/me/$', 31, "identity.path", "must be a path such as /v1/me"),
    ("${connectionConfig.region}", "{region}", 31, "identity.path", "may only have placeholders such as"),
    ("${connectionConfig.region}", "${apiKey}", 31, "identity.path", "may only have placeholders such as"),
    ('"{apiKey}"', '"sk_acme"', 26, "api_key.credentials", "has no {name}: nobody would be asked"),
    (
        "{ accept =",
        "{ authorization =",
        32,
        "identity.headers.authorization",
        "in the place of the credentials",
    ),
    ("{ accept =", '{ "a b" =', 32, "identity.headers", "must have names of letters"),
    ('"application/json"', '"a\\nb"', 32, "identity.headers.accept", "must be one line"),
    ('base_url = ""', 'base_url = "http://a"', 33, "identity.base_url", "must be an https:// address"),
    ('base_url = ""', 'base_url = "https://{host}/"', 33, "identity.base_url", "wants {host}, which is no"),
    ('base_url = ""', 'base_url = "https://{}/"', 33, "identity.base_url", "a brace that belongs to no"),
    (
        'base_url = ""',
        'base_url = "https://{accountId}.x"',
        33,
        "identity.base_url",
        "is no required parameter in [oauth]",
    ),
    (
        'base_url = ""',
        'base_url = "https://{region}.x"',
        33,
        "identity.base_url",
        "is no required parameter in [api_key]",
    ),
    ("response.ok ==", "response.ok = ", 34, "identity.healthy", "is not a JMESPath expression"),
    ("response.error ==", "body.error ==", 35, "identity.dead", "begins with 'body'; known are"),
    ('"response.id"', '"uppercase(response.id)"', 36, "identity.account_id", "calls uppercase(), which"),
    ('"response.name"', '""', 37, "identity.account_name", "must not be empty"),
    ('"response.error.message"', "{}", 38, "identity.error_message", "must be a text"),
    ('{ accept = "application/json" }', '"json"', 32, "identity.headers", "must be a table, not 'json'"),
    ('name = "accountId"', 'name = "region"', 17, "oauth.parameters[1].name", "'region' for the second time"),
    ("apiKey =", "api_key =", 26, "api_key.credentials.apiKey", "is required"),
    ('"API_KEY"', '"BASIC"', 26, "api_key.credentials.username", "is required"),
    ('"API_KEY"', '"TBA"', 26, "api_key.credentials.token_id", "is required"),
    ('"response.id"', '"to_string()"', 36, "identity.account_id", "with 0 arguments, and it takes 1"),
    ('"response.id"', "\"lower('a', 'b')\"", 36, "identity.account_id", "with 2 arguments, and it takes 1"),
    ('"response.id"', '"merge()"', 36, "identity.account_id", "with 0 arguments, and it takes 1 or more"),
    ('name = "Acme"', 'name = "Ac\\nme"', 2, "name", "must be one line"),
    ('name = "Acme"', 'name = " "', 2, "name", "must be one line"),
    ('name = "Acme"', 'name = "Ac\\u202Eme"', 2, "name", "must be one line"),
    ('"^[0-9]+$"', '"a{99999999999}"', 19, "oauth.parameters[1].pattern", "is not a regular expression"),
    ('"^[0-9]+$"', f'"{"(" * 2_000}{")" * 2_000}"', 19, "oauth.parameters[1].pattern", "nested"),
    ('"response.id"', f'"{"(" * 3_000}response{")" * 3_000}"', 36, "identity.account_id", "nested"),
    ('name = "Acme"', f"name = {'[' * 3_000}{']' * 3_000}", None, None, "nested"),
    ('name = "Acme"', f"name = {'9' * 5_000}", None, None, "integer"),
    ('"{apiKey}"', '"{apiKey}"\ntype = "BASIC"', 28, "api_key.credentials.type", "is what api_key.type says"),
]

ENDING_A_LINE = [
    ("https://acme.example/docs", 5, "docs_url"),
    ('integration = "acme', 8, "oauth.integration"),
    ("100d", 9, "oauth.refresh_token_lifetime"),
    ('name = "region', 12, "oauth.parameters[0].name"),
    ("API_KEY", 24, "api_key.type"),
    ("/v1/me/${connectionConfig.region}", 31, "identity.path"),
    ("application/json", 32, "identity.headers.accept"),
    ('base_url = "', 33, "identity.base_url"),
]


def parse(text: str) -> None:
    ProviderFile("acme.toml", "acme", text).parse()


def test_the_file_that_the_others_spoil_is_good() -> None:
    parse(GOOD)


@pytest.mark.parametrize(("old", "new", "line", "key", "reason"), VIOLATIONS)
def test_a_violation_is_named_with_its_place(
    old: str, new: str, line: int, key: str | None, reason: str
) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(CatalogueError) as caught:
        parse(GOOD.replace(old, new, 1))
    assert (caught.value.line, caught.value.key) == (line, key)
    assert reason in caught.value.reason


@pytest.mark.parametrize(("value", "line", "key"), ENDING_A_LINE)
def test_a_line_that_ends_within_a_value_is_told(value: str, line: int, key: str) -> None:
    # `$` takes a line's end at the end for none: it would be sent in a header, or to Nango as a name.
    with pytest.raises(CatalogueError) as caught:
        parse(GOOD.replace(f'{value}"', f'{value}\\n"', 1))
    assert (caught.value.line, caught.value.key) == (line, key)


def test_all_that_is_wrong_is_told_at_once_from_the_top_down() -> None:
    bad = GOOD.replace('name = "Acme"', "name = 5").replace('label = "Region"', 'lable = "Region"')
    with pytest.raises(CatalogueError) as caught:
        parse(bad.replace('path = "/v1/me/${connectionConfig.region}"', "").replace('"GET"', '"PUT"'))
    assert [mistake.partition(": ")[2].partition(", ")[0] for mistake in caught.value.mistakes] == [
        "name: must be a text",
        "oauth.parameters[0].lable: is not known here; known are name",
        "oauth.parameters[0].label: is required",
        "identity.path: is required",
        "identity.method: must be GET or POST",
    ]
    assert str(caught.value) == "\n".join(caught.value.mistakes)


def test_each_missing_key_is_told_once() -> None:
    with pytest.raises(CatalogueError) as caught:
        parse("[oauth]" + GOOD.partition("[oauth]")[2])
    missing = [mistake.split(": ")[1] for mistake in caught.value.mistakes if "is required" in mistake]
    assert missing == ["key", "name", "description", "category"]


def test_what_means_nothing_is_told_all_at_once_too() -> None:
    with pytest.raises(CatalogueError) as caught:
        parse(GOOD.replace('"^[a-z]+$"', '"["').replace('"^[0-9]+$"', '"("'))
    assert len(caught.value.mistakes) == 2


def test_the_message_reads_from_the_place_to_the_reason() -> None:
    with pytest.raises(CatalogueError) as caught:
        parse(GOOD.replace('"100d"', "100"))
    assert str(caught.value) == (
        'acme.toml:9: oauth.refresh_token_lifetime: must be a text, in "quotes", not 100'
    )


def test_a_provider_that_cannot_be_connected_is_refused() -> None:
    head = GOOD.partition("[oauth]")[0]
    with pytest.raises(CatalogueError, match=r"needs a table \[oauth\] or \[api_key\]"):
        parse(head)


def test_a_table_where_a_list_of_them_belongs_is_told_its_brackets() -> None:
    head = GOOD.partition("[oauth]")[0]
    with pytest.raises(CatalogueError, match=r"oauth\.parameters: .* under \[\[double brackets\]\], not"):
        parse(f'{head}[oauth]\nintegration = "acme"\n[oauth.parameters]\nname = "region"\n')


def test_a_reason_is_bounded() -> None:
    with pytest.raises(CatalogueError) as caught:
        parse(GOOD.replace('"Acme"', '"' + "x" * 10_000 + '"'))
    assert caught.value.reason.startswith("must have 300 characters at most")
    assert len(caught.value.reason) <= 300


def test_functions_take_any_number_of_arguments_where_jmespath_says_so() -> None:
    parse(GOOD.replace('"response.id"', '"not_null(response.id, response.uid, response.key)"'))


def test_a_bad_file_in_a_directory_is_named_in_full(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(GOOD.replace('"GET"', '"PUT"'))
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(tmp_path, entry_points=False)
    assert str(caught.value).startswith(
        f"{tmp_path / 'acme.toml'}:30: identity.method: must be GET or POST, not 'PUT'"
    )


def test_a_mark_of_the_encoding_at_the_beginning_is_no_part_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(GOOD, "utf-8-sig")
    assert load_catalogue(tmp_path, entry_points=False).get("acme").provider.name == "Acme"


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_bytes(b'key = "\xff"')
    with pytest.raises(CatalogueError, match=r"acme\.toml: cannot be read"):
        load_catalogue(tmp_path, entry_points=False)


@pytest.mark.parametrize(
    "expression",
    [
        "response.items[?ok == `true`].id | [0]",
        "response.{a: b, c: d}.a",
        "sort_by(response.items, &age)[0].id",
        "response[*].id | [0]",
        "response.items[1:3] | [0]",
        "@.response.id",
        "!response.disabled && token.ok",
        "join('-', [response.a, connection_config.b])",
        "length(response.*) > `0`",
    ],
)
def test_names_below_the_facts_are_the_answers_own(expression: str) -> None:
    parse(GOOD.replace('"response.id"', f'"{expression}"'))


@pytest.mark.parametrize(
    "expression",
    [
        "items[?ok == `true`].id | [0]",
        "join('-', [response.a, region])",
        "response.a || answer.a",
        "{a: response.id, b: name}.a",
        "sort_by(items, &age)",
        "!disabled",
        "length(body.*)",
        "body[0]",
    ],
)
def test_an_unknown_fact_is_found_wherever_it_stands(expression: str) -> None:
    with pytest.raises(CatalogueError, match="begins with"):
        parse(GOOD.replace('"response.id"', f'"{expression}"'))


def test_a_directory_that_may_not_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    with pytest.raises(CatalogueError, match=f"{tmp_path}: cannot be read: Permission denied"):
        _from_folder(tmp_path)
