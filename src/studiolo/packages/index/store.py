"""What the host remembers over a restart: which file had which digest, and what it has not told the platform yet."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    channel TEXT NOT NULL, project TEXT NOT NULL, file TEXT NOT NULL,
    sha256 TEXT NOT NULL, fingerprint TEXT,
    PRIMARY KEY (channel, project, file)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (number INTEGER PRIMARY KEY AUTOINCREMENT, told TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that was delivered before. `fingerprint`: of a wheel's RECORD."""

    sha256: str
    fingerprint: str | None


class Store:
    """A small database of the host's own; each call takes some microseconds and survives a kill."""

    def __init__(self, file: Path) -> None:
        """Open or make it. Raises sqlite3.Error, OSError."""
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(file, isolation_level=None)
        # A kill loses nothing; what a failing machine may lose are some last rows of the journal.
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_SCHEMA}")

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def digests(self, channel: str, project: str) -> dict[str, str]:
        """Return the SHA-256 of each file of a project that was delivered, by the file's name."""
        query = "SELECT file, sha256 FROM files WHERE channel = ? AND project = ?"
        return dict(self._db.execute(query, (channel, project)).fetchall())

    def find(self, channel: str, project: str, file: str) -> KnownFile | None:
        """Return what is known of one file."""
        query = "SELECT sha256, fingerprint FROM files WHERE channel = ? AND project = ? AND file = ?"
        row = self._db.execute(query, (channel, project, file)).fetchone()
        return KnownFile(*row) if row else None

    def learn(self, channel: str, project: str, file: str, sha256: str, fingerprint: str | None) -> None:
        """Keep a file's digest; the first one stays."""
        insert = "INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?)"
        self._db.execute(insert, (channel, project, file, sha256, fingerprint))

    def note(self, told: dict[str, Any]) -> None:
        """Add to the journal of what the platform is to be told."""
        self._db.execute("INSERT INTO journal (told) VALUES (?)", (json.dumps(told),))

    def untold(self, most: int) -> tuple[int, Sequence[dict[str, Any]]]:
        """Return the oldest entries, and the number to forget them by."""
        query = "SELECT number, told FROM journal ORDER BY number LIMIT ?"
        rows = self._db.execute(query, (most,)).fetchall()
        return (rows[-1][0] if rows else 0), [json.loads(told) for _, told in rows]

    def forget(self, number: int) -> None:
        """Drop entries up to that number: the platform has them."""
        self._db.execute("DELETE FROM journal WHERE number <= ?", (number,))
