"""A PostgreSQL that may be killed: `python -m tests.chaos.postgres_process DIRECTORY`, prints its URL."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from entrypoints.embedded_postgres import embedded_postgres

if __name__ == "__main__":
    with embedded_postgres(Path(sys.argv[1])) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        signal.pause()
