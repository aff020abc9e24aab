"""How much room files take. Blocking; links are not followed."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def measure(paths: Iterable[Path], until: float) -> tuple[int, bool]:
    """Return bytes on disk below `paths`, and whether all was seen before `until` (as time.monotonic)."""
    size, waiting = 0, []
    for path in paths:
        if path.is_dir():
            waiting.append(str(path))
        else:
            size += _size(path.lstat)
    while waiting:
        if time.monotonic() > until:
            return size, False
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    size += _size(lambda entry=entry: entry.stat(follow_symlinks=False))  # type: ignore[misc]
    return size, True


def _size(stat: Callable[[], os.stat_result]) -> int:
    try:
        return stat().st_blocks * 512
    except OSError:
        return 0
