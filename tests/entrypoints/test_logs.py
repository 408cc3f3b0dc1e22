"""Log lines: whole, in order, one line each, and never late."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from entrypoints.logs import Lines, as_json

SPEAK = """
import asyncio, os, structlog
from entrypoints.logs import configure_logs
configure_logs("info", "{style}")
log = structlog.get_logger()
structlog.contextvars.bind_contextvars(request_id="r-1")
async def main():
    log.info("first", number=1)
    log.debug("unwanted")
    {ending}
asyncio.run(main())
"""

TROUBLE = "secret = 'canary'[::-1]\n    try: 1 / 0\n    except ZeroDivisionError: log.exception('bad')"


def written(ending: str, style: str) -> bytes:
    code = SPEAK.format(ending=ending, style=style)
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, check=False)  # noqa: S603 - our own code
    return done.stderr


def said(ending: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(ending, "json").splitlines() if line.startswith(b"{")]


async def test_the_lines_of_one_turn_are_written_together() -> None:
    file = io.BytesIO()
    lines = Lines(file)
    lines.info(b"one")
    lines.info(b"two")
    assert file.getvalue() == b""

    await asyncio.sleep(0)
    assert file.getvalue() == b"one\ntwo\n"


async def test_an_error_is_written_at_once_and_in_its_place() -> None:
    file = io.BytesIO()
    lines = Lines(file)
    lines.info(b"before")
    lines.error(b"trouble")
    assert file.getvalue() == b"before\ntrouble\n"


async def test_a_line_after_an_error_is_written_too() -> None:
    file = io.BytesIO()
    lines = Lines(file)
    lines.info(b"before")
    lines.error(b"trouble")
    lines.info(b"after")
    await asyncio.sleep(0)
    assert file.getvalue() == b"before\ntrouble\nafter\n"


def test_without_an_event_loop_a_line_is_written_at_once() -> None:
    file = io.BytesIO()
    Lines(file).info(b"now")
    assert file.getvalue() == b"now\n"


@pytest.mark.parametrize("value", ["a\nb", "\x00\x1b[31m", "\u2028", "\x85", "\ud800", "naïve"])
def test_an_event_is_one_line_of_ascii(value: str) -> None:
    line = as_json(None, "info", {"event": value})
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line) == {"event": value}


def test_what_json_does_not_know_is_written_as_text() -> None:
    assert json.loads(as_json(None, "info", {"event": "x", "what": int})) == {
        "event": "x",
        "what": "<class 'int'>",
    }


def test_a_line_tells_when_what_and_of_which_request() -> None:
    (line,) = said("pass")
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
    assert line == {"event": "first", "number": 1, "level": "info", "request_id": "r-1"}


def test_an_exception_is_told_with_its_traceback_and_without_locals() -> None:
    _, line = said(TROUBLE)
    assert (line["event"], line["level"]) == ("bad", "error")
    assert "ZeroDivisionError" in line["exception"]
    assert "yranac" not in line["exception"]


def test_a_terminal_is_not_told_the_locals_either() -> None:
    text = written(TROUBLE, "console")
    assert b"ZeroDivisionError" in text
    assert b"yranac" not in text


@pytest.mark.parametrize(
    "ending", ["raise SystemExit(1)", "raise MemoryError", "log.error('x'); os._exit(1)"]
)
def test_a_process_that_ends_loses_no_line(ending: str) -> None:
    assert said(ending)[0]["event"] == "first"


class _FullDisk(io.BytesIO):
    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_cannot_be_written_stops_nobody() -> None:
    lines = Lines(_FullDisk())
    lines.info(b"one")
    lines.error(b"two")


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_full_disk_stops_nobody(style: str) -> None:
    code = SPEAK.format(ending="log.error('bad'); print('went on')", style=style)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, check=False)  # noqa: S603 - our own code
    assert done.stdout == b"went on\n"
