"""The last step of an OAuth flow at Nango: whether what answered a callback was Nango itself.

The outcome is not read off the page: the tags alone tell it. But that there is nothing under them means a
failure only where Nango has spoken, and anything may answer in its place: a proxy's maintenance page, a
firewall, an empty body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.nango.failures import CODE, failure, problem_of
from domain.errors import GatewayNonsense, GatewayTimeout, GatewayUnavailable

if TYPE_CHECKING:
    from adapters.nango.client import Answer

_MARKS = (
    b"__nangoOAuthError",
    b"Nango OAuth flow callback",
    b"JavaScript is required to proceed with the authentication",
)
"""What Nango's callback page carries, after a success and after a failure; any one of them will do.

The first is the newest; the others were on the page of every release before.
"""


def read_callback(answer: Answer) -> None:
    """Insist that Nango has dealt with the callback: its page with 200 or 400, or its own error with 400.

    Raises:
        GatewayTimeout: a balancer has lost Nango's answer.
        GatewayUnavailable: Nango is down or limits us, and has not taken the callback.
        GatewayNonsense: somebody else has answered; Nango may have taken it or not.

    """
    if answer.status in (502, 504):
        # The state may be in use, and must not be used again.
        raise GatewayTimeout("Nango's answer was lost.")
    if answer.status in (200, 400) and any(mark in answer.body for mark in _MARKS):
        return
    if answer.status == 400 and CODE.fullmatch(problem_of(answer).code):  # noqa: PLR2004 - HTTP
        return
    refusal = failure(answer)
    if isinstance(refusal, GatewayUnavailable):
        raise refusal
    raise GatewayNonsense("What answered the callback in Nango's place could not be understood.")
