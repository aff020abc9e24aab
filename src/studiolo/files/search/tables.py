"""The index: one SQLite file for each workspace. It can be deleted at any time; the next search makes it anew."""

import contextlib
import sqlite3
from pathlib import Path

# Raise it when the tables or what is put into them change: indexes of before are then made anew.
_VERSION = 1

_TABLES = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, folded TEXT NOT NULL, size INTEGER NOT NULL,
    changed INTEGER NOT NULL
);
CREATE TABLE cells (
    id INTEGER PRIMARY KEY, file INTEGER NOT NULL REFERENCES files (id), number INTEGER, cell TEXT, kind TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX cells_of_file ON cells (file);
CREATE VIRTUAL TABLE words USING fts5 (
    text, content = 'cells', content_rowid = 'id', tokenize = "unicode61 remove_diacritics 2"
);
CREATE TRIGGER cell_added AFTER INSERT ON cells BEGIN
    INSERT INTO words (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER cell_removed AFTER DELETE ON cells BEGIN
    INSERT INTO words (words, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TABLE state (checked_at REAL, is_cut INTEGER NOT NULL, waiting INTEGER NOT NULL);
INSERT INTO state VALUES (NULL, 0, 0);
"""


def find_index(file: Path) -> sqlite3.Connection | None:
    """Open an index for reading: what the last finished step left. None if there is none that can be used yet."""
    if not file.exists():
        return None
    with contextlib.suppress(sqlite3.DatabaseError):
        if (kept := _connect(file)).execute("PRAGMA user_version").fetchone()[0] == _VERSION:
            return kept
        kept.close()
    return None


def open_index(file: Path) -> sqlite3.Connection:
    """Open the index for its one writer, making or renewing it."""
    if (kept := find_index(file)) is not None:
        return kept
    # Of an older version, or damaged: nothing is lost with it.
    for old in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
        old.unlink(missing_ok=True)
    index = _connect(file)
    index.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
    return index


def _connect(file: Path) -> sqlite3.Connection:
    index = sqlite3.connect(file, isolation_level=None, timeout=10)
    try:
        index.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768;")
    except sqlite3.DatabaseError:
        index.close()
        raise
    return index
