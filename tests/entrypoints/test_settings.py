"""Settings: what cannot be is refused, by name and without its value."""

from __future__ import annotations

import pytest

from entrypoints.settings import SettingsError, read_settings


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


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="CONNECTIONS_REDIRECT_ORIGIN is not a setting"):
        read_settings({"CONNECTIONS_REDIRECT_ORIGIN": "https://a.example"})


@pytest.mark.parametrize("key", ["hunter2", "x" * 257, "ck_" + "x" * 40, "é" * 40])
def test_a_first_key_that_no_caller_could_use_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="CONNECTIONS_BOOTSTRAP_API_KEY") as refused:
        read_settings({"CONNECTIONS_BOOTSTRAP_API_KEY": key})
    assert key not in str(refused.value)
