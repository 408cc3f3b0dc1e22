"""Our own state: the word in a provider's URL by which we know an attempt when its browser comes back."""

from __future__ import annotations

import hashlib
import re


def hash_state(state: str) -> bytes:
    """Give what is kept of our own state."""
    return hashlib.sha256(state.encode()).digest()


def with_state(url: str, state: str) -> str:
    """Put a state into a provider's authorization URL, everything else unchanged, byte for byte."""
    return re.sub(r"(?<=[?&]state=)[^&#]*", state, url, count=1)


def fill_state(url: str, state: str) -> str:
    """Put a state where `with_state(url, "")` left none; a URL with another's state stays as it is."""
    return re.sub(r"(?<=[?&]state=)(?=[&#]|$)", state, url, count=1)
