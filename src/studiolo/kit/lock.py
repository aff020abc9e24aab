"""A file lock that says who holds it and that the system releases when its holder ends, however it ends."""

import fcntl
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# `find_holder` holds a lock for the moment of its question; that must not look like a holder.
_PATIENCE_SECONDS = 0.2


class Held(Exception):
    """Somebody else holds the lock; `holder` is what they wrote, {} if nothing yet."""

    def __init__(self, holder: dict[str, Any]) -> None:
        super().__init__("the lock is held")
        self.holder = holder


class FileLock:
    """A context manager. Raises Held or OSError on entry. `holder`: JSON-serialisable, for others to read."""

    def __init__(self, path: Path, holder: dict[str, Any]) -> None:
        self._path = path
        self._holder = holder
        self._descriptor = -1

    def __enter__(self) -> Self:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _try_for(descriptor, _PATIENCE_SECONDS):
            os.close(descriptor)
            raise Held(_read(self._path))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(self._holder).encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def _try_for(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def find_holder(path: Path) -> dict[str, Any] | None:
    """Return what the lock's holder wrote ({} if nothing yet), or None if nobody holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(descriptor)
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
