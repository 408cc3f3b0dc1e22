"""What stops the start when a provider's description is not right."""

from __future__ import annotations


class CatalogueError(Exception):
    """A provider's description is wrong: says which file, which line where it can be found, and why.

    Not a domain error: no request ever meets it, because the service does not start.
    """

    def __init__(self, source: str, reason: str, *, line: int | None = None, key: str | None = None) -> None:
        """Take the file or entry point, the reason, and the place as `oauth.parameters[0].pattern`."""
        self.source = source
        self.reason = reason
        self.line = line
        self.key = key
        place = source if line is None else f"{source}:{line}"
        super().__init__(": ".join(part for part in (place, key, reason) if part))
