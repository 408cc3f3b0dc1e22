"""What stops the start when a provider's description is not right."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class CatalogueError(Exception):
    """A provider's description is wrong: says which file, which line where it can be found, and why.

    Not a domain error: no request ever meets it, because the service does not start.
    """

    def __init__(
        self,
        source: str,
        reason: str,
        *,
        line: int | None = None,
        key: str | None = None,
        others: Sequence[CatalogueError] = (),
    ) -> None:
        """Take the file or entry point, the reason, and the place as `oauth.parameters[0].pattern`.

        `others` are what else is wrong there; `mistakes` has a sentence for each, this one first.
        """
        self.source = source
        self.reason = reason
        self.line = line
        self.key = key
        place = source if line is None else f"{source}:{line}"
        first = ": ".join(part for part in (place, key, reason) if part)
        self.mistakes: tuple[str, ...] = (first, *(mistake for other in others for mistake in other.mistakes))
        super().__init__("\n".join(self.mistakes))
