"""The few pages a person sees on the way back from a provider: no scripts, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from attrs import frozen

_STYLE = """\
:root{color-scheme:light dark;font:1rem/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;
--ink:#1d2433;--dim:#5b6478;--paper:#fff;--ground:#eef1f6;--line:#d9dee8;--good:#18794e;--bad:#b3261e;--wait:#3146c9}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf2;--dim:#a3adc2;--paper:#1b2130;--ground:#11151f;
--line:#343c50;--good:#5fd39b;--bad:#ff9d94;--wait:#8fa0ff}}
*{box-sizing:border-box}
body{display:grid;place-items:center;min-height:100vh;margin:0;padding:1.5rem;background:var(--ground);
color:var(--ink)}
main{width:100%;max-width:27rem;padding:2rem 1.75rem;text-align:center;background:var(--paper);
border:1px solid var(--line);border-radius:1rem}
.mark{width:3rem;height:3rem;margin:0 auto 1rem;border:3px solid;border-radius:50%;font-size:1.4rem;
font-weight:700;line-height:2.6rem}
.good{color:var(--good)}.bad{color:var(--bad)}.note{color:var(--dim)}
.wait{color:var(--line);border-top-color:var(--wait);animation:turn 1s linear infinite}
@keyframes turn{to{transform:rotate(1turn)}}
@media(prefers-reduced-motion:reduce){.wait{animation:none}}
h1{font-size:1.4rem;line-height:1.25;margin:0 0 .5rem}
p{margin:0;color:var(--dim);text-wrap:balance;overflow-wrap:anywhere}
small{display:block;margin-top:1rem;color:var(--dim);font-size:.8rem;overflow-wrap:anywhere}
""".replace("\n", "")


def headers(style: str) -> dict[str, str]:
    """Give the headers of a page that has this style, no scripts and nothing from elsewhere."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


HEADERS = headers(_STYLE)

_AGAIN_AFTER = 2
"""Seconds between two looks of a page that waits."""


@frozen
class _Mark:
    """What is seen before anything is read: a class of the style, and a sign for those who see no colours."""

    style: str
    sign: str = ""


_GOOD, _BAD, _NOTE = _Mark("good", "\N{CHECK MARK}"), _Mark("bad", "!"), _Mark("note", "i")
_WAIT = _Mark("wait")


def connected() -> bytes:
    """Say that it worked."""
    return _page(_GOOD, "Connected", "Your account is connected. You can close this window.")


def waiting() -> bytes:
    """Say that it is not known yet; the page loads its own address again, without naming it."""
    text = "We are waiting for the provider to confirm. This page goes on by itself."
    return _page(_WAIT, "One moment", text, head=f'<meta http-equiv="refresh" content="{_AGAIN_AFTER}">')


def late() -> bytes:
    """Say that it is not known yet, and will not be soon: the page stays as it is."""
    text = "You can close this window. Your application will show how it ended."
    return _page(_NOTE, "This takes longer than usual", text)


def refused(message: str, request_id: str) -> bytes:
    """Say that it did not work."""
    return _page(_BAD, "Not connected", message, note=f"Request id: {request_id}")


def failed(message: str, request_id: str) -> bytes:
    """Say that the provider or the person refused, and what can be done."""
    return refused(f"{message}. Start again from your application.", request_id)


def overtaken(meaning: str, request_id: str) -> bytes:
    """Say that this did not count; the connection may well be active."""
    return _page(_NOTE, "Not needed any more", meaning, note=f"Request id: {request_id}")


def _page(mark: _Mark, title: str, text: str, *, note: str = "", head: str = "") -> bytes:
    small = f"<small>{escape(note)}</small>" if note else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{head}<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f'<div class="mark {mark.style}" aria-hidden="true">{mark.sign}</div>'
        f"<h1>{escape(title)}</h1><p>{escape(text)}</p>{small}</main></body></html>"
    ).encode()
