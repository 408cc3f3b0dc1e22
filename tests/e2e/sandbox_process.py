"""A Nango of the tests' own: `python -m tests.e2e.sandbox_process PORT CALLBACK_URL`."""

from __future__ import annotations

import sys

from aiohttp import web

from adapters.sandbox import create_sandbox

SECRET_KEY = "0b9a4a52-1c7e-4d0f-9a55-6f1f7f0f2a11"

if __name__ == "__main__":
    port, callback_url = int(sys.argv[1]), sys.argv[2]
    app = create_sandbox(
        secret_key=SECRET_KEY, public_url=f"http://127.0.0.1:{port}", callback_url=callback_url
    )
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)
