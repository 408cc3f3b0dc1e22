"""What the documentation says before and between the calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.http.openapi.authorizations import AUTHORIZATION, BROWSERS
from adapters.http.openapi.connections import CONNECTIONS, HISTORY
from adapters.http.openapi.service import SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

INTRODUCTION = """\
Manage OAuth and API key connections to external services. Workflows use the connections to authenticate \
with the providers.

**Keys.** Every call but the callbacks carries the header `x-api-key`. A key belongs to one company, and a \
company sees only its own connections; those of others are as unknown as those that never were. A key with \
the scope read cannot change anything.

**Answers.** `{"success": true, "data": …}`, lists with `meta` beside, or `{"success": false, "error": \
{"code", "message", "details"}}`. `code` never changes; `details` names each field of a request that is \
wrong. Every answer carries `X-Request-Id`. Expect fields that are not described here.

**Requests.** Unknown query parameters and fields are refused, and named. Bodies are `application/json`.

**The OAuth flow.**

- Your app calls Get auth URL and redirects the user to `authUrl`.
- The user authorizes in the provider's UI, which sends the browser back to this service.
- The connection's status becomes active.
- The user is redirected to your `redirectUrl`, where your page reads `success`, `connectionId` and `error` \
from the query.

**Statuses.**

- `pending`: OAuth flow started but not completed.
- `active`: the connection is working.
- `error`: the connection has an issue (check `errorMessage`).
- `expired`: the OAuth token has expired, needs re-authorization.
- `disconnected`: the user revoked access or the connection was disconnected.

**Trouble.** What Nango or a provider does wrong on its own account never changes a connection: the answer \
is 502 or 503 with `Retry-After`. An address that does not exist answers 404; one that does not know the \
method answers 405 `METHOD_NOT_ALLOWED`, with `Allow` naming those it knows. HEAD is known to the \
addresses of the service itself (health, metrics, this documentation), and to no others.\
"""

CHAPTERS: Mapping[str, str] = {
    AUTHORIZATION: "Connect an account, or connect it again.",
    CONNECTIONS: "What your company is connected to.",
    HISTORY: "Every change of a connection, and who made it.",
    "Providers": "What can be connected.",
    BROWSERS: "Addresses for the user's browser. They need no key and prove nothing.",
    SERVICE: "The service itself: health, webhooks, this documentation.",
}
