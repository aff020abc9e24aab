"""Log files that a running process appends to: kept to a size, and read from their end."""

import os
import shutil
from pathlib import Path
from typing import BinaryIO

_TAIL_BYTES = 65536


def open_log(path: Path) -> BinaryIO:
    """Open for appending. Appending is what makes `rotate` safe while somebody writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb", buffering=0)


def rotate(path: Path, *, max_bytes: int, keep: int) -> bool:
    """When larger than `max_bytes`, copy it to `<path>.1` (older ones move on to .2 … .`keep`) and empty it.

    Its writer keeps its descriptor; lines written between copy and cut are lost. Returns whether it did.
    """
    if not path.exists() or path.stat().st_size <= max_bytes:
        return False
    for number in range(keep, 1, -1):
        older = path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number}"))
    shutil.copy2(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
    return True


def tail(path: Path, lines: int, *, since: int = 0) -> list[str]:
    """Return the last lines, oldest first, of what follows byte `since`; an empty list if there is no such file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(since, size), size - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
