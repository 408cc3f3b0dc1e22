"""Where a user may be sent after authorizing (RFC 9700 §2.1, RFC 3986)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus, urlencode, urlsplit

from attrs import frozen

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LENGTH = 2048
_HOST = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_AUTHORITY = re.compile(rf"(?P<host>{_HOST}|\[[0-9a-f:]+\])(?::(?P<port>[1-9][0-9]{{0,4}}))?", re.IGNORECASE)
_VISIBLE = re.compile(r"[!#-;=?-\[\]_a-z~]+")
"""RFC 3986's characters: no controls, blanks, quotes, backslashes, or anything beyond ASCII."""
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEFAULT_PORTS = {"https": "443", "http": "80"}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_MAX_PORT = 65535


@frozen
class RedirectUrl:
    """An address that browsers read as we do: https, or http on localhost; no userinfo, only plain ASCII."""

    text: str
    origin: str

    @classmethod
    def parse(cls, text: str, field: str = "redirectUrl") -> RedirectUrl:
        """Accept an address, or say what is wrong with it.

        Raises:
            InvalidInput: names `field`.

        """
        if len(text) > MAX_LENGTH:
            raise InvalidInput((field, f"must be at most {MAX_LENGTH} characters"))
        if not _VISIBLE.fullmatch(text):
            raise InvalidInput(
                (field, "must be an absolute URL of visible ASCII characters, others percent-encoded")
            )
        scheme, separator, _ = text.partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in ("https", "http"):
            raise InvalidInput((field, "must begin with https:// (or http://localhost)"))
        # Browsers end the authority at the first of these; everything before must be host and port alone.
        authority = re.split(r"[/?#]", text[len(scheme) + 3 :], maxsplit=1)[0]
        match = _AUTHORITY.fullmatch(authority)
        if match is None or (match["port"] and int(match["port"]) > _MAX_PORT):
            raise InvalidInput((field, "must name a plain host, with an optional port and no user name"))
        host = match["host"].lower()
        if not _is_canonical(host):
            raise InvalidInput((field, "must write an IP address in its usual form"))
        if scheme == "http" and host not in _LOOPBACK:
            raise InvalidInput((field, "must use https; http is for localhost only"))
        port = match["port"] if match["port"] != _DEFAULT_PORTS[scheme] else None
        return cls(text, f"{scheme}://{host}" + (f":{port}" if port else ""))

    def with_result(self, result: Mapping[str, str]) -> str:
        """Merge the result's parameters into the address's own query; the fragment stays last.

        An outcome that is there already is removed: a page may give its own address as the target, with the
        outcome of the last time in its query, and must not read a success beside an error.
        """
        parts = urlsplit(self.text)
        stale = {*result, "success", "error"}
        own = [pair for pair in parts.query.split("&") if unquote_plus(pair.partition("=")[0]) not in stale]
        query = "&".join(part for part in (*own, urlencode(result)) if part)
        return parts._replace(query=query).geturl()


def _is_canonical(host: str) -> bool:
    """Whether browsers keep the host as it is: they rewrite 0x7f.1 to 127.0.0.1 and [0::1] to [::1]."""
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1])}]" == host
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            return str(IPv4Address(host)) == host
    except ValueError:
        return False
    return True
