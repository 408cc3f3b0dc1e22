"""Write-through tables: read from memory, write to SQLite.

Each change is one small transaction, in the operating system's hands when the call returns, so a process
that is killed loses nothing. (A machine that loses power may lose the last moments: this is a sandbox.)
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import AttrsInstance, asdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Row = TypeVar("Row", bound=AttrsInstance)


class Documents:
    """The file behind the tables; nothing at all where no directory is given."""

    def __init__(self, data_dir: Path | None) -> None:
        self._database: sqlite3.Connection | None = None
        if data_dir is None:
            return
        data_dir.mkdir(parents=True, exist_ok=True)
        # One event loop uses it; the thread may differ from the one that composed the application.
        self._database = sqlite3.connect(
            data_dir / "sandbox.sqlite3", isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS documents"
            " (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )

    def read(self, kind: str) -> Iterator[tuple[str, Any]]:
        """Give every document of a kind."""
        if self._database is None:
            return
        query = "SELECT id, body FROM documents WHERE kind = ?"
        for key, body in self._database.execute(query, (kind,)):
            yield key, json.loads(body)

    def write(self, kind: str, key: str, body: Any) -> None:
        """Keep a document, in place of the one with the same key."""
        if self._database is not None:
            query = "INSERT OR REPLACE INTO documents (kind, id, body) VALUES (?, ?, ?)"
            self._database.execute(query, (kind, key, json.dumps(body)))

    def remove(self, kind: str, key: str) -> None:
        """Forget a document."""
        if self._database is not None:
            self._database.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None


class Table(Generic[Row]):
    """Rows of one kind, in the order in which they were first stored."""

    def __init__(self, documents: Documents, kind: str, make: Callable[..., Row]) -> None:
        self._documents = documents
        self._kind = kind
        self._rows: dict[str, Row] = {key: make(**body) for key, body in documents.read(kind)}

    def get(self, key: str) -> Row | None:
        """Give the row, or None."""
        return self._rows.get(key)

    def put(self, key: str, row: Row) -> Row:
        """Store the row, in place of the one with the same key, and give it back."""
        self._documents.write(self._kind, key, asdict(row, recurse=False))
        self._rows[key] = row
        return row

    def pop(self, key: str) -> Row | None:
        """Take the row out."""
        row = self._rows.pop(key, None)
        if row is not None:
            self._documents.remove(self._kind, key)
        return row

    def rows(self) -> list[Row]:
        """Give all rows."""
        return list(self._rows.values())
