"""What callers are told of an authorization: where it begins, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

if TYPE_CHECKING:
    from domain.redirect import RedirectUrl


@frozen(kw_only=True)
class AuthorizationStarted:
    """Where to send the user; `is_new` where the connection was made for this."""

    connection_id: str
    provider: str
    url: str = field(repr=False)
    is_new: bool


@frozen(kw_only=True)
class AuthorizationResult:
    """How an authorization ended, or that it is pending; where to send the user, if anywhere.

    `late`: it has been pending for so long that the user should not be kept waiting.
    """

    connection_id: str
    provider: str
    outcome: Literal["succeeded", "failed", "pending"]
    error: str | None = None
    redirect_url: RedirectUrl | None = None
    late: bool = False
