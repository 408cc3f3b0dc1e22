"""Settings from the environment, checked before anything starts."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlsplit

from attrs import field, frozen

from adapters.postgres.address import check_address
from domain.api_key import MAX_LENGTH, MIN_LENGTH, well_formed
from domain.errors import InvalidInput
from domain.redirect import RedirectUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX = "CONNECTIONS_"
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:_\[\]-]+(/[A-Za-z0-9._~%/-]*)?", re.IGNORECASE)
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]


class SettingsError(Exception):
    """One line: the variable, and what is wrong with it. Never its value, which may be a secret."""


@frozen(kw_only=True)
class Settings:
    """What a deployment decides. `docs/operations.md` explains each; secrets are kept out of `repr`."""

    host: str = "127.0.0.1"
    port: int = 3000
    public_url: str = "http://localhost:3000"
    database_url: str | None = field(default=None, repr=False)
    database_pool: int = 10
    database_pgbouncer: bool = False
    data_dir: Path = Path(".data")
    nango_url: str = "https://api.nango.dev"
    nango_public_url: str = "https://api.nango.dev"
    nango_secret_key: str | None = field(default=None, repr=False)
    nango_webhook_keys: tuple[str, ...] = field(default=(), repr=False)
    providers_dir: Path | None = None
    bootstrap_api_key: str | None = field(default=None, repr=False)
    redirect_origins: frozenset[str] = frozenset()
    verify_interval: timedelta = timedelta(hours=6)
    verify_per_minute: int = 30
    sweep_interval: timedelta = timedelta(seconds=60)
    metrics_port: int | None = None
    notice: timedelta = timedelta(seconds=1)
    starts_per_minute: int = 600
    callbacks_per_minute: int = 600
    proxies: int = 0
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"

    @property
    def callback_url(self) -> str:
        """What Nango's environment callback URL is to be set to."""
        return f"{self.public_url}/oauth/callback"

    @property
    def nango_callbacks(self) -> frozenset[str]:
        """The callback URLs that Nango uses as long as nobody has set one in its environment."""
        own = (self.nango_url, self.nango_public_url, "https://api.nango.dev")
        return frozenset(f"{address}/oauth/callback" for address in own)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read every CONNECTIONS_ variable; an empty one counts as unset.

    Raises:
        SettingsError: a variable is unknown, or its value cannot be.

    """
    given = {
        name.removeprefix(PREFIX).lower(): value.strip()
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }
    for name in sorted(given):
        if name not in _READERS:
            known = ", ".join(PREFIX + other.upper() for other in _READERS)
            raise SettingsError(f"{PREFIX}{name.upper()} is not a setting; the settings are {known}")
    values: dict[str, Any] = {name: _read(name, value) for name, value in given.items() if value}
    if "public_url" not in values:
        values["public_url"] = f"http://localhost:{values.get('port', 3000)}"
    values.setdefault("nango_public_url", values.get("nango_url", "https://api.nango.dev"))
    return Settings(**values)


def require(settings: Settings, *names: str) -> None:
    """Refuse to start without these.

    Raises:
        SettingsError: names the first that is missing.

    """
    for name in names:
        if getattr(settings, name) is None:
            raise SettingsError(f"{PREFIX}{name.upper()} is required; `connections dev` runs without it")


def _read(name: str, value: str) -> object:
    try:
        return _READERS[name](value)
    except ValueError as problem:
        raise SettingsError(f"{PREFIX}{name.upper()} {problem}") from None


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not (re.fullmatch(r"[0-9]{1,9}", value) and low <= int(value) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return read


def _seconds(value: str) -> timedelta:
    try:
        return timedelta(seconds=_number(0, 604_800)(value))
    except ValueError:
        raise ValueError("must be a whole number of seconds, at most a week; 0 switches it off") from None


def _one_of(*words: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return value

    return read


def _truth(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def _text(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must not hold control characters")
    return value


def _http_url(value: str) -> str:
    message = "must be an http:// or https:// address without query, fragment or user name"
    try:
        parts = urlsplit(value)
        plain = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise ValueError(message) from None
    # Beside what it may not hold: an address in quotes, or two of them, or with the end of a sentence.
    if not plain or not _ADDRESS.fullmatch(value):
        raise ValueError(message)
    return value.rstrip("/")


def _database_url(value: str) -> str:
    check_address(value)
    return value


def _secret(value: str) -> str:
    if not all("!" <= character <= "~" for character in value):
        raise ValueError("must be visible ASCII characters")
    return value


def _api_key(value: str) -> str:
    if not well_formed(value):
        raise ValueError(
            f"must be {MIN_LENGTH} to {MAX_LENGTH} visible ASCII characters, "
            "and a key that begins with ck_ must be one made by `connections keys create`"
        )
    return value


def _secrets(value: str) -> tuple[str, ...]:
    keys = tuple(_secret(part.strip()) for part in value.split(","))
    if not all(keys):
        raise ValueError("must be keys with commas between them, none of them empty")
    return keys


def _origins(value: str) -> frozenset[str]:
    origins = set()
    for part in (part.strip() for part in value.split(",")):
        try:
            url = RedirectUrl.parse(part)
        except InvalidInput as problem:
            reason = "; ".join(rule for _, rule in problem.details)
            raise ValueError(f"must be origins such as https://app.example.com; each {reason}") from None
        if url.text.lower().rstrip("/") != url.origin:
            raise ValueError("must be origins such as https://app.example.com, without a path")
        origins.add(url.origin)
    return frozenset(origins)


def _path(value: str) -> Path:
    """Read a path; a `~` is a home that no shell has looked up, where it comes in quotes or from a file."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("names a home that nobody here has") from None


def _folder(value: str) -> Path:
    path = _path(value)
    try:
        if path.is_dir():
            return path
    except OSError as problem:
        raise ValueError(f"must be a folder that we may read: {problem.strerror}") from None
    raise ValueError("must be a folder that exists")


_READERS: Mapping[str, Callable[[str], object]] = {
    "host": _text,
    "port": _number(1, 65535),
    "public_url": _http_url,
    "database_url": _database_url,
    "database_pool": _number(1, 200),
    "database_pgbouncer": _truth,
    "data_dir": _path,
    "nango_url": _http_url,
    "nango_public_url": _http_url,
    "nango_secret_key": _secret,
    "nango_webhook_keys": _secrets,
    "providers_dir": _folder,
    "bootstrap_api_key": _api_key,
    "redirect_origins": _origins,
    "verify_interval": _seconds,
    "verify_per_minute": _number(1, 10_000),
    "sweep_interval": _seconds,
    "metrics_port": _number(1, 65535),
    "notice": _seconds,
    "starts_per_minute": _number(0, 1_000_000),
    "callbacks_per_minute": _number(0, 1_000_000),
    "proxies": _number(0, 10),
    "log_level": _one_of(*get_args(LogLevel)),
    "log_format": _one_of(*get_args(LogFormat)),
}
