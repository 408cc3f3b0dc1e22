"""One client's connection: what speaks HTTP badly or slowly is answered or cut here, before there is a route.

aiohttp would answer such requests in plain text, with its banner, and write their bytes, queries included,
into the log. It would also wait for slow ones as long as for idle connections.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from adapters.http.answers import refused
from adapters.http.boundary import REQUEST_ID
from adapters.http.errors import UNEXPECTED, UNREADABLE, Refusal
from adapters.http.heads import is_http

if TYPE_CHECKING:
    from aiohttp import StreamReader

    from adapters.http.boundary import Observe

MAX_LINE = 8190
"""The longest first line in bytes, with the address in it: aiohttp's own limit."""

MAX_FIELD = 16 * 1024
"""The longest header in bytes: an API key of 8 KB is a wrong key (401), not bad HTTP."""

MAX_HEAD = 64 * 1024
"""How much of one head is kept while it is incomplete: 128 headers at their longest are two megabytes."""

TOO_LONG = Refusal(
    status=400,
    code="BAD_REQUEST",
    message=f"The address or a header is too long: at most {MAX_LINE} and {MAX_FIELD} bytes are taken",
)

TOO_MUCH = Refusal(
    status=400,
    code="BAD_REQUEST",
    message=f"The headers are too long: at most {MAX_HEAD} bytes are taken in all",
)

_SERVER_ERROR = 500

_log = structlog.get_logger("connections.http")


class _HeadTooLong(BadHttpMessage):
    """All of its lines together, not one of them."""


class Protocol(web.RequestHandler):
    """One client's connection, cut where the head of a request drips in (slow loris), or an answer out."""

    __slots__ = (
        "_answered",
        "_client",
        "_ended",
        "_head_bytes",
        "_head_deadline",
        "_head_seconds",
        "_heads",
        "_last_body",
        "_observe",
        "_read_deadline",
        "_read_seconds",
        "_unreadable",
    )

    def __init__(
        self,
        *args: Any,
        head_seconds: float,
        read_seconds: float,
        observe: Observe | None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._observe = observe
        self._head_seconds = head_seconds
        self._read_seconds = read_seconds
        self._client: asyncio.WriteTransport
        self._head_deadline: asyncio.TimerHandle | None = None
        self._read_deadline: asyncio.TimerHandle | None = None
        self._heads = 0
        self._answered = 0
        self._ended = False
        self._last_body: StreamReader = EMPTY_PAYLOAD
        self._head_bytes = 0
        self._unreadable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect a first request."""
        self._client = cast("asyncio.WriteTransport", transport)
        super().connection_made(transport)
        self._expect_a_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Expect nothing any more."""
        self._have_a_head()
        self._have_a_reader()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Expect the client to read: aiohttp itself would wait for ever."""
        super().pause_writing()
        self._expect_a_reader()

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._have_a_reader()
        super().resume_writing()

    async def start(self) -> None:
        """Serve this client; what is left of its last answer must be read in time, too."""
        try:
            await super().start()
        finally:
            if self._read_deadline is None and self._client.get_write_buffer_size():
                self._expect_a_reader()

    def data_received(self, data: bytes) -> None:
        """Note whether these bytes completed a head, or began one."""
        if self._unreadable:
            # aiohttp would keep an error, and with it these bytes, for each piece that still comes.
            return
        in_head = self._last_body.is_eof()
        super().data_received(data)
        if self._request_count != self._heads:
            self._head_bytes = 0
        elif in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._refuse_head()
        self._look_at_heads()
        if self._request_count != self._heads:
            self._heads = self._request_count
            self._have_a_head()
        elif self._head_deadline is None and self._waiter is not None and not self._waiter.done():
            # Else these are the body of a request under way, whose reader has a deadline of its own.
            self._expect_a_head()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks for more than aiohttp says
        """Answer what came as a whole before the client said that this was all (`nc -N`); aiohttp would go.

        Who has gone altogether says the same: that shows when the answer is sent.
        """
        self._ended = True
        return self._answered < self._request_count and self._last_body.is_eof()

    async def finish_response(self, *answered: Any) -> tuple[web.StreamResponse, bool]:
        """Answer; what was held back behind an Upgrade that nobody wanted has been parsed then, too."""
        result = await super().finish_response(*answered)
        self._look_at_heads()
        self._answered += 1
        if self._ended and self._answered == self._request_count:
            self.close()
        return result

    def _look_at_heads(self) -> None:
        for number, (head, body) in enumerate(self._messages):
            self._last_body = body
            if isinstance(head, _ErrInfo):
                self._unreadable = True
            elif not is_http(head):
                self._unreadable = True
                error = BadHttpMessage("not a head of HTTP/1.1")
                self._messages[number] = (_ErrInfo(status=400, exc=error, message=error.message), body)
        if self._unreadable and self._current_request is not None:
            self._give_up_body(self._current_request)

    def _refuse_head(self) -> None:
        error = _HeadTooLong("")
        self._request_count += 1
        self._messages.append((_ErrInfo(status=400, exc=error, message=""), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _give_up_body(self, request: web.BaseRequest) -> None:
        # aiohttp lets whoever reads the body of a request wait for what now cannot come.
        if not request.content.is_eof():
            request.content.set_exception(web.RequestPayloadError("the rest of the body is not HTTP"))

    def _expect_a_head(self) -> None:
        loop = asyncio.get_running_loop()
        self._head_deadline = loop.call_later(self._head_seconds, self.force_close)

    def _have_a_head(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _expect_a_reader(self) -> None:
        # To close would be to wait for what is unread, too.
        loop = asyncio.get_running_loop()
        self._read_deadline = loop.call_later(self._read_seconds, self._client.abort)

    def _have_a_reader(self) -> None:
        if self._read_deadline is not None:
            self._read_deadline.cancel()
            self._read_deadline = None

    def log_exception(self, *args: Any, exc_info: object = None, **how: Any) -> None:
        """Write a traceback, but not of a body that cannot be read: its request has had its answer and line.

        aiohttp runs into it once more when it drops what nobody has read.
        """
        if not isinstance(exc_info, web.RequestPayloadError):
            super().log_exception(*args, exc_info=exc_info, **how)

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp passes it; its bytes stay out of the answer
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the same: it quotes the request
    ) -> web.StreamResponse:
        """Answer in the envelope, close, and tell of it without the bytes that were wrong."""
        request_id = secrets.token_hex(16)
        refusal = UNEXPECTED if status >= _SERVER_ERROR else UNREADABLE
        if isinstance(exc, LineTooLong):
            refusal = TOO_LONG
        if isinstance(exc, _HeadTooLong):
            refusal = TOO_MUCH
        # Of a client that has gone the boundary has told already.
        if not isinstance(exc, ConnectionError):
            _log.info(
                "request",
                request_id=request_id,
                company=None,
                route="unreadable",
                method=None,
                status=refusal.status,
                error=refusal.code,
                reason=None if exc is None else type(exc).__name__,
            )
            if self._observe is not None:
                # Neither a method nor a beginning is known of it.
                self._observe("unknown", "unreadable", refusal.status, 0.0)
        response = refused(refusal)
        response.headers[REQUEST_ID] = request_id
        response.force_close()
        return response
