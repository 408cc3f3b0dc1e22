"""One HTTP request to Nango: its deadline, its bounds, and what can go wrong below Nango's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import aiohttp
import attrs
import msgspec
from attrs import field, frozen
from yarl import URL

from application.ports import STRUCK, forms
from domain.errors import GatewayNonsense, GatewayTimeout, GatewayUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from multidict import CIMultiDictProxy

MAX_BODY = 1024 * 1024
_TELLING = 8
"""Characters from which on a secret is one: what is shorter may stand in an answer by chance."""
KEEP_ALIVE = 4.0
"""Seconds; less than the 5 after which a Node server closes an idle connection under our next request."""
CALLS_AT_ONCE = 100
"""Calls of a process under way; whoever gets no turn within the deadline to connect has sent nothing.

Twice what Nango's 200 calls a minute can keep busy when each takes its 15 s, so that only a Nango in trouble
has anybody wait; and a tenth of the 1,024 descriptors that a process usually has, since a call that hangs
there holds its caller's socket, too.
"""


@frozen(kw_only=True)
class Deadlines:
    """Seconds that Nango is given: to connect, for a call, for a refresh or relay, for a provider's answer.

    Nango waits for a slow token endpoint without a limit of its own; 35 s were seen.
    """

    connect: float = 1.0
    call: float = 4.0
    exchange: float = 15.0
    provider: float = 3.0


@frozen(kw_only=True)
class Answer:
    """What came back. `cut` says that the body was longer than allowed and ends early."""

    status: int
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes = field(repr=False)
    cut: bool = False

    @property
    def retry_after(self) -> int | None:
        """Seconds that the answer asks us to wait, where it says so in seconds (RFC 9110 §10.2.3)."""
        value = self.headers.get("Retry-After", "").strip()
        return min(int(value), 86_400) if value.isascii() and value.isdigit() and len(value) < 10 else None  # noqa: PLR2004 - more digits than any wait


def open_client_session() -> aiohttp.ClientSession:
    """Open the session that a NangoGateway wants; the entrypoint closes it.

    It keeps no cookies: each flow's own cookie travels with its attempt.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CALLS_AT_ONCE, keepalive_timeout=KEEP_ALIVE),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class _Dropped(Exception):
    """The connection broke after it was made."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating GET and DELETE by itself when the connection drops.

    A forced refresh is a GET, and its second run may spend a refresh token twice. aiohttp repeats on two
    classes of exceptions, so they leave here as another.
    """
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise _Dropped from None


class NangoClient:
    """Sends single requests. What it raises carries neither the secret key nor a URL, also not as context.

    Args:
        session: see `open_client_session`.
        base_url: Nango's address, without a path of its own or with a prefix.
        secret_key: the environment's.

    """

    def __init__(
        self, session: aiohttp.ClientSession, *, base_url: str, secret_key: str, connect_deadline: float
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._secret_key = secret_key
        self._connect_deadline = connect_deadline

    async def send(  # noqa: PLR0913 - what makes a request, all by name
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        authorized: bool = True,
        secrets: Collection[str] = (),
        repeatable: bool = False,
        deadline: float,
        max_body: int = MAX_BODY,
    ) -> Answer:
        """Send one request, once, and read the answer whatever its status. Redirects are not followed.

        Args:
            method: the HTTP method.
            path: begins with a slash and is percent-encoded; has no query of its own where `query` is given.
            query: pairs in plain text; sent in this order.
            body: sent as JSON.
            headers: more headers.
            authorized: whether to present the secret key.
            secrets: what of the request must not come back: it is struck out of the answer, as our key is.
            repeatable: whether a second run does no harm, so that a broken connection is a mere outage.
            deadline: seconds for everything, the body included.
            max_body: bytes after which the body is cut.

        Raises:
            GatewayTimeout: not done within the deadline, or the connection broke under a call that is not
                repeatable: it may have taken effect at Nango, or still take it.
            GatewayUnavailable: no connection could be made, or none came free: nothing was sent; or it broke.
            GatewayNonsense: not HTTP.

        """
        text = f"{self._base_url}{path}"
        if query:
            text += ("&" if "?" in path else "?") + urlencode(
                query, quote_via=quote, safe="", errors="replace"
            )
        all_headers = dict(headers or {})
        if authorized:
            all_headers["Authorization"] = f"Bearer {self._secret_key}"
        if body is not None:
            all_headers["Content-Type"] = "application/json"
        outcome = await self._exchange(
            method,
            URL(text, encoded=True),
            data=None if body is None else msgspec.json.encode(body),
            headers=all_headers,
            timeout=aiohttp.ClientTimeout(total=deadline, connect=self._connect_deadline),
            max_body=max_body,
        )
        if isinstance(outcome, _Dropped):
            failed = GatewayUnavailable if repeatable else GatewayTimeout
            outcome = failed("Nango broke the connection off. Try again.")
        # Raised out here, so that aiohttp's exception, which holds our headers, is not even its context.
        if isinstance(outcome, Exception):
            raise outcome
        return attrs.evolve(outcome, body=_without(outcome.body, [self._secret_key, *secrets]))

    async def _exchange(self, method: str, url: URL, *, max_body: int, **how: Any) -> Answer | Exception:
        try:
            async with self._session.request(
                method, url, allow_redirects=False, middlewares=(_once,), **how
            ) as response:
                content = await _read(response, max_body)
                return Answer(
                    status=response.status,
                    headers=response.headers,
                    body=content[:max_body],
                    cut=len(content) > max_body,
                )
        except aiohttp.ConnectionTimeoutError:
            return _unreachable(f"no connection was made, or came free, within {self._connect_deadline:g} s")
        except TimeoutError:
            return GatewayTimeout("Nango did not answer in time.")
        except (_Dropped, aiohttp.ClientPayloadError):
            return _Dropped()
        except (aiohttp.ClientConnectionError, OSError) as error:
            return _unreachable(_why(error))
        except (aiohttp.ClientError, ValueError):
            # Not HTTP; or an id that Nango gave us once does not fit into a header.
            return GatewayNonsense()


def _unreachable(why: str) -> GatewayUnavailable:
    return GatewayUnavailable("Nango cannot be reached. Try again.", why=why)


def _why(error: Exception) -> str:
    """Give the words of the resolver, the system or OpenSSL, and no others: those might be a request's."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return getattr(cause, "strerror", None) or type(cause).__name__


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read until the end or just beyond the limit; what is left is dropped with the connection."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > limit:
            response.close()
            break
    return bytes(content)


def _without(body: bytes, secrets: Collection[str]) -> bytes:
    """Strike out secrets, however the body has them: a refusal may quote the request."""
    for secret in secrets:
        if len(secret) >= _TELLING:
            for written in forms(secret):
                body = body.replace(written.encode(), STRUCK.encode())
    return body
