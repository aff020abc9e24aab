"""Bring a workspace's index up to date: look at each file's change time, read those that changed. Runs in a worker."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studiolo.files.names import from_wire, is_ours, sort_key, to_wire
from studiolo.files.search.tables import open_index
from studiolo.files.search.texts import limit_of, pieces_of
from studiolo.runtime.acting import acting_as, owner_of

MAX_FILES = 200_000
_MAX_DEPTH = 40
# Of what machines wrote there is much, and nobody looks for it.
_PASSED_OVER = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env"})
# How much is read between two steps that readers see.
_STEP_BYTES = 8 * 2**20
_STEP_SECONDS = 1.0
_O_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def bring_up_to_date(folder: int, *, index: str, max_files: int = MAX_FILES) -> dict[str, Any]:
    """Scan the folder open at `folder` into the index file `index`. Returns how many files it `saw` and `read`."""
    opened = open_index(Path(index))
    try:
        opened.execute("BEGIN IMMEDIATE")
        return _Scan(opened, max_files).run(folder)
    finally:
        opened.close()


class _Scan:
    def __init__(self, index: sqlite3.Connection, max_files: int) -> None:
        self._index = index
        self._max_files = max_files
        self._known: dict[str, tuple[int, int, int]] = {
            path: (id_, size, changed)
            for path, id_, size, changed in index.execute("SELECT path, id, size, changed FROM files")
        }
        self._began_at = time.time()
        self._read = 0
        self._since_step = 0
        self._stepped_at = time.monotonic()

    def run(self, folder: int) -> dict[str, Any]:
        """Do it. Names come first, so that all are found at once; then what is in the files that changed."""
        saw, is_cut, changed = 0, False, []
        present: set[str] = set()
        for path, name, seen in _walk(folder, ()):
            if saw >= self._max_files:
                is_cut = True
                break
            saw += 1
            path = to_wire(path)
            present.add(path)
            known = self._known.get(path)
            if known is None or known[1:] != (seen.st_size, seen.st_mtime_ns):
                changed.append((path, name, seen))
        gone = [id_ for path, (id_, _, _) in self._known.items() if path not in present]
        for id_ in gone:
            self._forget(id_)
            self._index.execute("DELETE FROM files WHERE id = ?", (id_,))
        waiting = [self._enter(path, name, seen) for path, name, seen in changed]
        self._step(sum(limit_of(name) > 0 for _, name, _ in changed))
        for left, (id_, (path, name, seen)) in enumerate(zip(waiting, changed, strict=True)):
            if 0 < seen.st_size <= limit_of(name):
                self._take(folder, id_, path, name, len(changed) - left)
        self._index.execute("UPDATE state SET checked_at = ?, is_cut = ?, waiting = 0", (self._began_at, is_cut))
        self._index.execute("COMMIT")
        return {"saw": saw, "read": self._read, "is_cut": is_cut}

    def _enter(self, path: str, name: str, seen: os.stat_result) -> int:
        """Write down a name whose content is still to be read."""
        if (known := self._known.get(path)) is not None:
            self._forget(known[0])
        row = self._index.execute(
            "INSERT INTO files (path, folded, size, changed) VALUES (?, ?, ?, 0) "
            "ON CONFLICT (path) DO UPDATE SET size = excluded.size, changed = 0 RETURNING id",
            (path, sort_key(path), seen.st_size),
        ).fetchone()
        if not 0 < seen.st_size <= limit_of(name):
            self._index.execute("UPDATE files SET changed = ? WHERE id = ?", (seen.st_mtime_ns, row[0]))
        return int(row[0])

    def _take(self, folder: int, id_: int, path: str, name: str, left: int) -> None:
        """Read one file into the index. What vanished or is closed to us is found by its name until the next scan."""
        try:
            with acting_as(owner_of(folder)):
                content, seen = _content(folder, path, limit_of(name))
        except OSError:
            return
        self._index.executemany(
            "INSERT INTO cells (file, number, cell, kind, text) VALUES (?, ?, ?, ?, ?)",
            ((id_, *piece) for piece in pieces_of(name, content)),
        )
        # The times of what was read, not of what the walk saw: a change between the two is read at the next scan.
        self._index.execute(
            "UPDATE files SET size = ?, changed = ? WHERE id = ?", (seen.st_size, seen.st_mtime_ns, id_)
        )
        self._read += 1
        self._since_step += len(content)
        if self._since_step >= _STEP_BYTES or time.monotonic() - self._stepped_at > _STEP_SECONDS:
            self._step(left)

    def _forget(self, id_: int) -> None:
        self._index.execute("DELETE FROM cells WHERE file = ?", (id_,))

    def _step(self, waiting: int) -> None:
        """Let readers see what there is; a kill from here on costs only what follows."""
        self._index.execute("UPDATE state SET waiting = ?", (waiting,))
        self._index.execute("COMMIT")
        self._index.execute("BEGIN IMMEDIATE")
        self._since_step = 0
        self._stepped_at = time.monotonic()


def _walk(folder: int, parts: tuple[str, ...]) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield path, name and state of each plain file below an open folder; links are not followed."""
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                seen = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(seen.st_mode):
                yield "/".join((*parts, entry.name)), entry.name, seen
            elif stat.S_ISDIR(seen.st_mode) and not _is_passed_over(entry.name):
                below.append(entry.name)
    for name in below if len(parts) < _MAX_DEPTH else ():
        try:
            handle = os.open(name, _O_READ | os.O_DIRECTORY, dir_fd=folder)
        except OSError:
            continue
        try:
            yield from _walk(handle, (*parts, name))
        finally:
            os.close(handle)


def _content(folder: int, path: str, most: int) -> tuple[bytes, os.stat_result]:
    """Read a plain file below `folder`, passing no link. Raises OSError."""
    handles = [os.dup(folder)]
    try:
        *folders, name = from_wire(path).split("/")
        for part in folders:
            handles.append(os.open(part, _O_READ | os.O_DIRECTORY, dir_fd=handles[-1]))
        handles.append(os.open(name, _O_READ, dir_fd=handles[-1]))
        seen = os.fstat(handles[-1])
        if not stat.S_ISREG(seen.st_mode):
            raise OSError("no plain file any more")
        with os.fdopen(os.dup(handles[-1]), "rb") as file:
            return file.read(most), seen
    finally:
        for handle in handles:
            os.close(handle)


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name in _PASSED_OVER or is_ours(name)
