"""API keys: how they look, and what of them is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib

MARK = "ck_"
"""Begins every key that we make."""

MIN_LENGTH = 32
MAX_LENGTH = 256


def make_key(secret: bytes) -> str:
    """Make a key of 256 random bits: mark, secret, and a checksum that tells a typo from a stranger."""
    body = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    return f"{MARK}{body}_{_checksum(body)}"


def well_formed(key: str) -> bool:
    """Whether a key could be one: visible ASCII, and the checksum right where it claims to be ours."""
    visible = key.isascii() and key.isprintable() and " " not in key
    if not visible or not MIN_LENGTH <= len(key) <= MAX_LENGTH:
        return False
    if not key.startswith(MARK):
        return True
    body, separator, checksum = key[len(MARK) :].rpartition("_")
    return bool(separator) and hmac.compare_digest(checksum.encode(), _checksum(body).encode())


def readable_prefix(key: str) -> str:
    """Give what of a key is kept readable: enough to tell keys apart, useless to guess one.

    The mark and 48 of 256 bits; of a key that somebody chose, only its first four characters.
    """
    return key[: len(MARK) + 8] if key.startswith(MARK) else key[:4]


def digest(key: str) -> bytes:
    """Give what is kept of a key; of any text, also of one that no key can be."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
