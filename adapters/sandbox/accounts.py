"""The accounts that exist at the sandbox's providers.

Each provider has a first and a second account (any other name works too); ids look as the real ones do and
follow from integration and name alone, so the same choice always leads to the same account.
"""

from __future__ import annotations

import hashlib

from attrs import frozen

FIRST, SECOND = "first", "second"
COMPANIES = {FIRST: "Juniper & Fern", SECOND: "Harbour Street Bakery"}
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


@frozen
class Account:
    """An account at a provider: which provider family, and the name under which it was chosen."""

    family: str
    name: str

    @property
    def company(self) -> str:
        """The company whose account it is."""
        return COMPANIES.get(self.name, self.name.title())

    @property
    def email(self) -> str:
        """The address of the person who authorized."""
        return f"{self.name}@sandbox.example"

    def digits(self, length: int) -> str:
        """Give a number of that length that does not start with zero."""
        number = int.from_bytes(self._digest(), "big") % (9 * 10 ** (length - 1))
        return str(number + 10 ** (length - 1))

    def letters(self, length: int) -> str:
        """Give capitals and digits, as in many providers' ids."""
        return "".join(LETTERS[byte % len(LETTERS)] for byte in self._digest()[:length])

    def _digest(self) -> bytes:
        return hashlib.sha256(f"{self.family}/{self.name}".encode()).digest()


def family_of(integration: str) -> str:
    """Give the provider behind an integration: an OAuth and an API-key one may reach the same accounts."""
    for suffix in ("-api-key", "-app", "-tba", "-sandbox"):
        integration = integration.removesuffix(suffix)
    return integration
