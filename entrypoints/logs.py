"""How the service logs: one line an event, JSON for machines, colours for a terminal, never a secret."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import structlog
from structlog.contextvars import get_contextvars

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from entrypoints.settings import LogFormat, LogLevel

_encode = msgspec.json.Encoder().encode


def configure_logs(level: LogLevel, style: LogFormat) -> None:
    """Send everything to standard error; the standard library's loggers take the same way."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    context: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
    ]
    stamper: structlog.typing.Processor = structlog.processors.TimeStamper(fmt="iso", utc=True)
    stamped = [*context, stamper]
    # Tracebacks without local variables: those hold credentials.
    render: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    lines = Lines(sys.stderr.buffer)
    atexit.register(lines.flush)
    structlog.configure(
        processors=[*stamped, *render, _as_bytes]
        if console
        else [*context, _stamp, structlog.processors.format_exc_info, as_json],
        wrapper_class=(structlog.make_filtering_bound_logger if console else _quick_logger)(threshold),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=stamped,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)


def _quick_logger(threshold: int) -> type[structlog.typing.FilteringBoundLogger]:
    """Make structlog's logger for a level, with an `info` of our own: each request calls it once."""
    filtering: Any = structlog.make_filtering_bound_logger(threshold)
    return type("QuickLogger", (filtering,), {"info": _info} if threshold <= logging.INFO else {})


def _info(logger: Any, event: str, **fields: object) -> None:
    """Do in one step what the chain of processors does to an event without an exception."""
    bound, sink = logger._context, logger._logger  # noqa: SLF001 - what structlog hands to its own chain
    told = {**get_contextvars(), **bound, **fields, "event": event, "level": "info"}
    sink.info(as_json(logger, "info", _stamp(logger, "info", told)))


class Lines:
    """Writes log lines: those of one turn of the event loop together, and errors at once.

    A write for each line was a tenth of what a read costs. No line waits longer than the turn it is from.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []

    def info(self, line: bytes) -> None:
        """Write a line soon."""
        self._waiting.append(line)
        if len(self._waiting) > 1:
            return
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:
            self.flush()

    msg = debug = warning = info

    def error(self, line: bytes) -> None:
        """Write a line, and those before it, now."""
        self._waiting.append(line)
        self.flush()

    critical = fatal = exception = error

    def flush(self) -> None:
        """Write what waits; where it cannot be written, nobody else is to suffer."""
        if self._waiting:
            lines, self._waiting = self._waiting, []
            with contextlib.suppress(OSError):
                self._file.write(b"\n".join(lines) + b"\n")
                self._file.flush()


def _stamp(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["timestamp"] = datetime.now(UTC)
    return event


def _as_bytes(_: object, __: str, line: Any) -> bytes:
    return str(line).encode(errors="backslashreplace")


def as_json(_: object, __: str, event: MutableMapping[str, object]) -> bytes:
    """Write an event as one line of ASCII."""
    try:
        line = _encode(event)
    except (TypeError, ValueError):
        line = b"\xff"  # a type that msgspec does not know, or half a surrogate pair
    # Beyond ASCII there are characters that some take for the end of a line.
    return line if line.isascii() else json.dumps(event, default=str).encode()
