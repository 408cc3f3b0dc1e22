"""Every scenario, in its short form and its long one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from tests.chaos.crashes import CORE, ENDPOINTS
from tests.chaos.crashing import crash_points
from tests.chaos.killing import backends_terminated, postgres_killed, sigkill, sigterm
from tests.chaos.model import model
from tests.chaos.outages import commits_dropped, nango_blackholed, nango_troubled, postgres_blackholed
from tests.chaos.racing import auth_urls, completions, endings, refreshes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence


@frozen
class Row:
    """A scenario; its first line says what it is. Without `short` it is run in the long form only."""

    play: Callable[..., Awaitable[str]]
    short: Mapping[str, Any] | None
    long: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.play.__name__

    @property
    def goal(self) -> str:
        """What happens."""
        return (self.play.__doc__ or "").splitlines()[0].removesuffix(".")


ROWS: Sequence[Row] = (
    Row(sigkill, {"requests": 600}, {"requests": 20_000}),
    Row(crash_points, {"only": {name: ENDPOINTS[name] for name in CORE}, "every": 4}, {}),
    Row(auth_urls, {"times": 3}, {"times": 50}),
    Row(endings, {"times": 10}, {"times": 50}),
    Row(refreshes, {"times": 1}, {"times": 50}),
    Row(completions, {"times": 3}, {"times": 200}),
    Row(postgres_killed, {"times": 1}, {"times": 20}),
    Row(backends_terminated, {"seconds": 1.5}, {"seconds": 60}),
    Row(commits_dropped, {"times": 10}, {"times": 1000}),
    Row(nango_troubled, {"seconds": 3}, {"seconds": 300}),
    Row(nango_blackholed, {"seconds": 4, "relays": False}, {"seconds": 60, "relays": True}),
    Row(postgres_blackholed, None, {}),
    Row(sigterm, {"times": 1}, {"times": 20}),
    Row(model, None, {"examples": 2000}),
)
