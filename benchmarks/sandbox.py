"""A Nango to be measured against: `python -m benchmarks.sandbox PORT CALLBACK_URL`."""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web

from adapters.sandbox import create_sandbox
from benchmarks.world import NANGO_KEY

if __name__ == "__main__":
    port, callback_url = int(sys.argv[1]), sys.argv[2]
    app = create_sandbox(
        secret_key=NANGO_KEY, public_url=f"http://127.0.0.1:{port}", callback_url=callback_url
    )
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)
