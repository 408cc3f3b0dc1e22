"""What a database's URL must look like, so that a wrong one is told at the start and not at the first use."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SCHEMES = ("postgresql", "postgres")
_HOST = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]+)(?::([^:]*))?")
_HIGHEST_PORT = 65535
_WORDS: Mapping[str, tuple[str, ...]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "primary", "standby", "read-write", "read-only", "prefer-standby"),
}
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_USUAL_AUTHORITY = "~/.postgresql/root.crt"
_ENCODED = "; special characters in a password are percent-encoded (# is %23, / is %2F, @ is %40)"


def check_address(url: str) -> None:
    """Pass where `hosts.connect` can make something of a URL, several hosts included.

    Raises:
        ValueError: says what is wrong, and nothing of the URL, which has a password in it.

    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("must be a postgresql:// address" + _ENCODED) from None
    if parts.scheme not in _SCHEMES or not url.isprintable():
        raise ValueError("must be a postgresql:// address")
    query = _query(parts.query)
    user, _, hosts = parts.netloc.rpartition("@")
    if parts.fragment or "@" in user:
        raise ValueError("must be a postgresql:// address" + _ENCODED)
    # Without a host the driver looks where sockets usually are; a password is for a host that was forgotten.
    if ":" in user and not (hosts or query.keys() & {"host", "service"}):
        raise ValueError("must name a host, or the folder of its socket (?host=/run/postgresql)")
    _check_hosts(hosts.split(",") if hosts else ())
    _check_hosts(query["host"].split(",") if "host" in query else ())
    _check_ports(query["port"].split(",") if "port" in query else ())
    for name, words in _WORDS.items():
        if query.get(name, words[0]) not in words:
            raise ValueError(f"must have one of {', '.join(words)} as its {name}")
    if query.get("sslmode") != "disable":
        _check_certificates(query)


def _check_certificates(query: Mapping[str, str]) -> None:
    # The driver notices at the first use, and says neither which file is missing nor that one must be named.
    for name in _FILES:
        if name in query and not _readable(query[name]):
            raise ValueError(f"must name a file that we may read as its {name}")
    mode = query.get("sslmode", "")
    # Unlike Path's, this way to look up a home does not fail where there is none.
    usual = os.environ.get("PGSSLROOTCERT") or os.path.expanduser(_USUAL_AUTHORITY)  # noqa: PTH111 - see above
    named = query.keys() & {"sslrootcert", "service"}
    if mode.startswith("verify-") and not named and not _readable(usual):
        raise ValueError(f"must name its authority's certificate (sslrootcert=/path/to/ca.crt) for {mode}")


def _readable(path: str) -> bool:
    try:
        with Path(path).open("rb"):
            return True
    except (OSError, ValueError):
        return False


def _query(text: str) -> Mapping[str, str]:
    try:
        return {name: values[-1] for name, values in parse_qs(text, strict_parsing=bool(text)).items()}
    except ValueError:
        raise ValueError("must have name=value pairs after its ?" + _ENCODED) from None


def _check_hosts(hosts: Iterable[str]) -> None:
    for host in hosts:
        if host.startswith("/"):
            continue
        if (match := _HOST.fullmatch(host)) is None:
            raise ValueError(
                "must name a host before each port and comma, an IPv6 one in brackets" + _ENCODED
            )
        _check_ports([match[2]] if match[2] else ())


def _check_ports(ports: Iterable[str]) -> None:
    for port in ports:
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
            raise ValueError(f"must have whole numbers from 1 to {_HIGHEST_PORT} as its ports" + _ENCODED)
