"""The landing page: what this is, and what is connected."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from adapters.sandbox.pages import page
from adapters.sandbox.present import offset_time
from adapters.sandbox.sandbox import SANDBOX

if TYPE_CHECKING:
    from aiohttp import web

    from adapters.sandbox.model import Connection
    from adapters.sandbox.sandbox import Sandbox

SHOWN = 200


async def landing(request: web.Request) -> web.Response:
    """Show the sandbox to a person who comes across it."""
    sandbox = request.app[SANDBOX]
    connections = sandbox.live_connections()
    rows = "".join(_row(sandbox, each) for each in connections[:SHOWN])
    names = ("Integration", "Account", "State", "Id", "Since", "Id in Nango")
    head = "<tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"
    table = f'<div class="scroll"><table>{head}{rows}</table></div>' if rows else "<p>None yet.</p>"
    body = (
        "<h1>Sandbox for Connections</h1>"
        "<p>A stand-in for Nango and for the providers behind it: same HTTP, invented accounts. Start a"
        " connection in Connections, and the provider's consent page will be served from here.</p>"
        f"<h2>Connections ({len(connections)})</h2>{table}"
        "<h2>Make things go wrong</h2>"
        "<p>Revoke tokens, refuse refreshes, slow things down: "
        '<a href="/sandbox/control"><code>/sandbox/control</code></a> says how to call the switches.</p>'
    )
    return page("Sandbox for Connections", body, wide=True)


def _row(sandbox: Sandbox, connection: Connection) -> str:
    account = sandbox.account_behind(connection)
    cells = (
        sandbox.integration_of(connection).title,
        account.company if account else "none",
        "refresh fails" if connection.errors else "good" if account else "dead",
        connection.tags.get("connection", ""),
        offset_time(connection.created_at)[:19].replace("T", " "),
        connection.connection_id,
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
