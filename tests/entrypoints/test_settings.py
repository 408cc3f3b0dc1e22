"""Settings: what cannot be is refused, by name and without its value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entrypoints.settings import SettingsError, read_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com/path",
        "https://app.example.com?query",
        "https://app.example.com#fragment",
        "https://app.example.com:443",
        "http://app.example.com",
        "https://user@app.example.com",
        "app.example.com",
        "*",
    ],
)
def test_what_is_no_origin_is_not_allowed(origin: str) -> None:
    with pytest.raises(SettingsError, match="CONNECTIONS_REDIRECT_ORIGINS"):
        read_settings({"CONNECTIONS_REDIRECT_ORIGINS": origin})


def test_allowed_origins_are_read_one_by_one() -> None:
    settings = read_settings({"CONNECTIONS_REDIRECT_ORIGINS": "https://A.example, http://localhost:5173/"})
    assert settings.redirect_origins == {"https://a.example", "http://localhost:5173"}


@pytest.mark.parametrize("setting", ["PUBLIC_URL", "NANGO_URL", "NANGO_PUBLIC_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "nango.example",
        "ftp://nango.example",
        "https://:3003",
        "http://[",
        "http://nango.example:0",
        "https://nango.example?",
        "https://nango.example/?a=1",
        "https://nango.example/#a",
        "https://ada:hunter2@nango.example",
        "https://nango.example,https://b.example",
        "https://nango example",
        '"https://nango.example"',
        "https://nango.éxample",
    ],
)
def test_what_is_no_address_is_refused(setting: str, url: str) -> None:
    with pytest.raises(SettingsError, match=f"CONNECTIONS_{setting} must be an http") as refused:
        read_settings({f"CONNECTIONS_{setting}": url})
    assert url not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example",
        "http://10.0.0.1:3003",
        "http://[::1]:3003/",
        "HTTPS://A.example/nango/v1",
        "http://a_b",
    ],
)
def test_an_address_may_have_a_port_and_a_path(url: str) -> None:
    assert read_settings({"CONNECTIONS_NANGO_URL": url}).nango_url == url.rstrip("/")


def test_a_number_may_be_of_any_length_and_is_refused_for_its_size() -> None:
    with pytest.raises(SettingsError, match="CONNECTIONS_PORT must be a whole number from 1 to 65535"):
        read_settings({"CONNECTIONS_PORT": "1" * 5000})


def test_a_folder_that_cannot_be_looked_at_is_refused_in_one_line() -> None:
    with pytest.raises(
        SettingsError, match="CONNECTIONS_PROVIDERS_DIR must be a folder that we may read: File"
    ):
        read_settings({"CONNECTIONS_PROVIDERS_DIR": "x" * 5000})


@pytest.mark.parametrize(("setting", "path"), [("data_dir", "~/data"), ("providers_dir", "~")])
def test_a_home_is_found_where_no_shell_has_looked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, path: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    settings = read_settings({f"CONNECTIONS_{setting.upper()}": path})

    assert getattr(settings, setting) == tmp_path / path.removeprefix("~").removeprefix("/")


@pytest.mark.parametrize("setting", ["DATA_DIR", "PROVIDERS_DIR"])
def test_a_home_that_nobody_has_is_refused_in_one_line(setting: str) -> None:
    with pytest.raises(SettingsError, match=f"^CONNECTIONS_{setting} names a home that nobody here has$"):
        read_settings({f"CONNECTIONS_{setting}": "~nobody-of-this-name/data"})


@pytest.mark.parametrize("keys", [",", "canary,", ",canary", "a,,b"])
def test_a_list_of_webhook_keys_with_a_gap_is_refused_without_saying_them(keys: str) -> None:
    with pytest.raises(SettingsError, match=r"^CONNECTIONS_NANGO_WEBHOOK_KEYS must be keys") as refused:
        read_settings({"CONNECTIONS_NANGO_WEBHOOK_KEYS": keys})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("origins", "reason"),
    [
        ("a.example", "each must begin with https://"),
        ("https://a.example,", "each must be an absolute URL"),
        ("https://ada@a.example", "each must name a plain host"),
    ],
)
def test_what_is_no_origin_is_refused_in_the_setting_s_own_words(origins: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=r"^CONNECTIONS_REDIRECT_ORIGINS must be origins") as refused:
        read_settings({"CONNECTIONS_REDIRECT_ORIGINS": origins})
    assert reason in str(refused.value)
    assert "redirectUrl" not in str(refused.value)


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="CONNECTIONS_REDIRECT_ORIGIN is not a setting"):
        read_settings({"CONNECTIONS_REDIRECT_ORIGIN": "https://a.example"})


@pytest.mark.parametrize("key", ["hunter2", "x" * 257, "ck_" + "x" * 40, "é" * 40])
def test_a_first_key_that_no_caller_could_use_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="CONNECTIONS_BOOTSTRAP_API_KEY") as refused:
        read_settings({"CONNECTIONS_BOOTSTRAP_API_KEY": key})
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://connections:hunter2@db.example/connections",
        "postgres://db.example:5433/connections?sslmode=require",
        "postgresql://connections:hunter%232@[fd00::1]:5432/connections",
        "postgresql://connections:hunter2@db1,db2:5433/connections?target_session_attrs=read-write",
        "postgresql:///connections?host=db1,db2&port=5432,5433&target_session_attrs=primary",
        "postgresql://postgres:@/postgres?host=/run/postgresql",
        "postgresql://connections:hunter2@%2Frun%2Fpostgresql/connections",
        "postgresql:///connections",
        "postgresql://connections@/connections",
        "postgresql://?service=connections",
        f"postgresql://db.example/connections?sslmode=verify-full&sslrootcert={__file__}",
        "postgresql://db.example/connections?sslmode=disable&sslrootcert=/nowhere/root.crt",
    ],
)
def test_a_database_is_named_in_any_way_that_the_driver_knows(url: str) -> None:
    assert read_settings({"CONNECTIONS_DATABASE_URL": url}).database_url == url


def test_a_database_is_verified_by_the_certificate_that_the_driver_finds_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://db.example/connections?sslmode=verify-full"
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)

    assert read_settings({"CONNECTIONS_DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://u:hunter2@db/connections", "must be a postgresql:// address"),
        ("db.example:5432/hunter2", "must be a postgresql:// address"),
        ("postgresql://u:hunter2@db\n/connections", "must be a postgresql:// address"),
        ("postgresql://u:hunter2@db:port/connections", "from 1 to 65535 as its ports"),
        ("postgresql://u:hunter2@db:0/connections", "from 1 to 65535 as its ports"),
        ("postgresql://u:hunter2@db1,db2:65536/connections", "from 1 to 65535 as its ports"),
        ("postgresql://u:hunter2@/connections?host=db&port=5432,x", "from 1 to 65535 as its ports"),
        ("postgresql://u:hunter2@/connections", "must name a host"),
        ("postgresql://u:hunter2@db1,,db2/connections", "must name a host"),
        ("postgresql://u:hunter2@:5432/connections", "must name a host"),
        ("postgresql://u:hunter2@fd00::1/connections", "in brackets"),
        ("postgresql://u:hunter2@[fd00::1/connections", "percent-encoded"),
        ("postgresql://u:hunter2#@db/connections", "percent-encoded"),
        ("postgresql://u:hunter2/@db/connections", "percent-encoded"),
        ("postgresql://u:hunter2?@db/connections", "percent-encoded"),
        ("postgresql://u:hunter2@2@db/connections", "percent-encoded"),
        ("postgresql://u:hunter2@db/connections?sslmode=always", "as its sslmode"),
        ("postgresql://u:hunter2@db/connections?target_session_attrs=master", "as its target_session_attrs"),
        ("postgresql://u:hunter2@db/connections?sslrootcert=/nowhere/root.crt", "as its sslrootcert"),
        ("postgresql://u:hunter2@db/connections?sslmode=require&sslkey=/", "as its sslkey"),
        ("postgresql://u:hunter2@db/connections?sslmode=verify-full", "(sslrootcert=/path/to/ca.crt)"),
    ],
)
def test_a_database_that_cannot_be_reached_by_its_address_is_refused_without_saying_it(
    url: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    with pytest.raises(SettingsError, match=r"^CONNECTIONS_DATABASE_URL must") as refused:
        read_settings({"CONNECTIONS_DATABASE_URL": url})
    assert words in str(refused.value)
    assert "hunter2" not in str(refused.value)
