"""The index of an OSV export: advisories on PyPI's packages by name, made once for each export.

An export is a folder of `*.json` and `*.zip` files, or one zip file, as osv.dev offers them. Only what a scan needs is
kept: per package and advisory one JSON text {id, aliases, summary, stated, vectors, affected}.
"""

import hashlib
import json
import os
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studiolo.packages.names import key

_LAYOUT = 1
_MOST_BYTES = 4 << 20
_MOST_ENTRIES = 2_000_000


class ExportUnusable(Exception):
    """An export cannot be read; its text says why."""


def bring_up_to_date(export: Path, index: Path) -> bool:
    """Make the index at `index` if it is not of this export as it is now; tell whether it was made. Blocking.

    The old one stays until the new one is whole. Raises ExportUnusable.
    """
    state = _state_of(export)
    if _made_from(index) == state:
        return False
    index.parent.mkdir(parents=True, exist_ok=True)
    part = index.with_name(f"{index.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(part)) as database, database:
            _fill(database, export, state)
        part.replace(index)
    finally:
        part.unlink(missing_ok=True)
    return True


def describe(database: sqlite3.Connection) -> tuple[datetime, int]:
    """Return when the newest entry was changed, and how many entries on PyPI's packages there are."""
    known = dict(database.execute("SELECT name, value FROM about"))
    return datetime.fromisoformat(known["newest"]), int(known["entries"])


def find(database: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    """Return the advisories on a package, by its key."""
    rows = database.execute("SELECT document FROM advisories WHERE name = ?", (name,))
    return [json.loads(document) for (document,) in rows]


def _fill(database: sqlite3.Connection, export: Path, state: str) -> None:
    database.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT)")
    database.execute("CREATE TABLE advisories (name TEXT, document TEXT)")
    entries, newest = 0, datetime.fromtimestamp(0, UTC)
    for document in _documents(export):
        rows = list(_rows(document))
        if rows:
            database.executemany("INSERT INTO advisories VALUES (?, ?)", rows)
            entries += 1
            newest = max(newest, _modified(document))
    if not entries:
        raise ExportUnusable("it holds no advisory on a package of PyPI")
    database.execute("CREATE INDEX by_name ON advisories (name)")
    about = (("newest", newest.isoformat()), ("entries", str(entries)), ("state", state))
    database.executemany("INSERT INTO about VALUES (?, ?)", about)


def _rows(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows of one entry: one for each package that it is about. A withdrawn one has none."""
    if document.get("withdrawn") or not isinstance(document.get("id"), str):
        return
    by_name: dict[str, list[dict[str, Any]]] = {}
    for affected in document.get("affected") or ():
        package = affected.get("package") or {}
        if str(package.get("ecosystem", "")).partition(":")[0] == "PyPI" and isinstance(package.get("name"), str):
            kept = {part: affected[part] for part in ("ranges", "versions") if affected.get(part)}
            by_name.setdefault(key(package["name"]), []).append(kept)
    for name, found in by_name.items():
        told = {
            "id": document["id"],
            "aliases": [alias for alias in document.get("aliases") or () if isinstance(alias, str)],
            "summary": str(document.get("summary") or document.get("details") or "")[:300],
            "stated": (document.get("database_specific") or {}).get("severity") or "",
            "vectors": [str(one.get("score", "")) for one in document.get("severity") or ()],
            "affected": found,
        }
        yield name, json.dumps(told)


def _modified(document: dict[str, Any]) -> datetime:
    try:
        found = datetime.fromisoformat(str(document.get("modified")))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _documents(export: Path) -> Iterator[dict[str, Any]]:
    for path in _files(export):
        try:
            if path.suffix == ".zip":
                yield from _unpacked(path)
            elif (found := _parsed(path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b"")) is not None:
                yield found
        except (OSError, zipfile.BadZipFile) as exc:
            raise ExportUnusable(f"{path.name}: {exc}") from exc


def _unpacked(path: Path) -> Iterator[dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist()[:_MOST_ENTRIES]:
            if info.filename.endswith(".json") and info.file_size <= _MOST_BYTES:
                found = _parsed(archive.read(info))
                if found is not None:
                    yield found


def _parsed(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _files(export: Path) -> list[Path]:
    if export.is_file():
        return [export]
    found = [path for path in sorted(export.rglob("*")) if path.suffix in (".json", ".zip") and path.is_file()]
    if not found:
        raise ExportUnusable("there is no *.json or *.zip file in it" if export.is_dir() else "it does not exist")
    return found


def _state_of(export: Path) -> str:
    """Return a digest of names, sizes and times of all files of an export."""
    digest = hashlib.sha256(f"layout {_LAYOUT}".encode())
    try:
        for path in _files(export):
            seen = path.stat()
            digest.update(f"{path}\0{seen.st_size}\0{seen.st_mtime_ns}\n".encode(errors="surrogateescape"))
    except OSError as exc:
        raise ExportUnusable(f"it cannot be read: {exc.strerror}") from exc
    return digest.hexdigest()


def _made_from(index: Path) -> str | None:
    try:
        with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as database:
            row = database.execute("SELECT value FROM about WHERE name = 'state'").fetchone()
    except sqlite3.Error:
        return None
    return row[0] if row else None
