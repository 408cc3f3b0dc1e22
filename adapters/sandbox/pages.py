"""The pages of the sandbox: Nango's callback page, the consent page, the landing page.

Nothing is loaded from elsewhere. The one script is a line of data: real Nango's page carries the flow's
outcome as `window.__nangoOAuthError`, and so does this one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape

from aiohttp import web

STYLE = """
:root{color-scheme:light dark;--ink:#1d2433;--dim:#5b6478;--paper:#fff;--ground:#eef1f6;--line:#d9dee8;
--act:#3146c9;--on-act:#fff;--warn:#7a4b00;--warn-ground:#fff3d6;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf2;--dim:#a3adc2;--paper:#1b2130;--ground:#11151f;
--line:#343c50;--act:#8fa0ff;--on-act:#10142a;--warn:#ffd993;--warn-ground:#3a2d10;--bad:#ff9d94}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;display:grid;place-items:center;padding:24px}
main{width:100%;max-width:440px;background:var(--paper);border:1px solid var(--line);border-radius:16px;
overflow:hidden;box-shadow:0 12px 32px rgb(20 28 56 / .08)}
main.wide{max-width:880px}
.notice{margin:0;padding:10px 24px;background:var(--warn-ground);color:var(--warn);font-size:14px}
.body{padding:24px}
h1{font-size:22px;line-height:1.25;margin:0 0 8px}
h2{font-size:16px;margin:24px 0 8px}
p{margin:0 0 16px;color:var(--dim)}
.logo{width:48px;height:48px;border-radius:12px;display:grid;place-items:center;margin-bottom:16px;
background:var(--act);color:var(--on-act);font-weight:700;font-size:22px}
fieldset{border:0;padding:0;margin:0 0 20px}
legend{padding:0;margin-bottom:8px;font-weight:600}
label{display:flex;gap:12px;align-items:center;padding:12px;border:1px solid var(--line);border-radius:12px;
margin-bottom:8px;cursor:pointer}
label:has(:checked){border-color:var(--act);outline:1px solid var(--act)}
label small{display:block;color:var(--dim);overflow-wrap:anywhere}
input[type=radio]{width:18px;height:18px;accent-color:var(--act);flex:none;margin:0}
.actions{display:flex;gap:12px}
button{flex:1;font:inherit;font-weight:600;padding:11px 16px;border-radius:10px;cursor:pointer;
border:1px solid var(--line);background:transparent;color:var(--ink)}
button.yes{background:var(--act);border-color:var(--act);color:var(--on-act)}
button:focus-visible,input:focus-visible{outline:3px solid var(--act);outline-offset:2px}
.scopes{font-size:14px;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:14px}
.scroll{overflow-x:auto}
th,td{text-align:left;padding:8px 12px 8px 0;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--dim);font-weight:600}
code{font:13px ui-monospace,monospace}
.bad{color:var(--bad)}
"""


def _source(text: str) -> str:
    """Name an inline style or script in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# No form-action: browsers apply it to the redirects that follow a submitted form too, and those lead to the
# environment's callback URL and from there to wherever the product sends its user.
POLICY = f"default-src 'none'; style-src {_source(STYLE)}; base-uri 'none'; frame-ancestors 'none'"

NOTICE = "This is a sandbox. No real provider is involved and no real account is touched."


def page(
    title: str, body: str, *, status: int = 200, wide: bool = False, script: str | None = None
) -> web.Response:
    """Build a page that says that it is a sandbox; `body` is HTML."""
    policy = f"{POLICY}; script-src {_source(script)}" if script else POLICY
    element = f"<script>{script}</script>" if script else ""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Sandbox</title><style>{STYLE}</style></head>"
        f'<body><main{" class=wide" if wide else ""}><p class="notice">{NOTICE}</p>'
        f'<div class="body">{body}</div></main>{element}</body></html>'
    )
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def flow_finished() -> web.Response:
    """Nango's page after a flow that succeeded: 200."""
    return _outcome("Successful connection", None, status=200)


def flow_failed(message: str) -> web.Response:
    """Nango's page after a flow that failed: 400, with the reason for whoever embeds it."""
    return _outcome("Connection failed", message, status=400)


def _outcome(title: str, message: str | None, *, status: int) -> web.Response:
    error = message and {"message": message, "errorType": "connection_validation_failed"}
    # "</script>" in a message must not end the element.
    data = json.dumps(error or None).replace("<", "\\u003c")
    details = f'<p class="bad">{escape(message)}</p>' if message else ""
    body = f"<h1>{title}</h1>{details}<p>You can close this window.</p>"
    return page(title, body, status=status, script=f"window.__nangoOAuthError = {data};")
