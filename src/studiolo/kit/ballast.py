"""Bytes on the disk that nobody needs, given up when it is full, so that what must be written still can be."""

import contextlib
import os
import shutil
from pathlib import Path

BALLAST_BYTES = 32 << 20


class Ballast:
    """One file beside what it protects. Blocking; all methods may be repeated."""

    def __init__(self, path: Path, size: int = BALLAST_BYTES) -> None:
        self._path = path
        self._size = size

    def take_in(self) -> bool:
        """Reserve the bytes where ten times as many are free; returns whether they are reserved now."""
        if self._path.exists() and self._path.stat().st_blocks * 512 >= self._size:
            return True
        if shutil.disk_usage(self._path.parent).free < 10 * self._size:
            return False
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError:
            self.give_up()
            return False
        finally:
            os.close(descriptor)
        return True

    def give_up(self) -> bool:
        """Release the bytes; returns whether there were any."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
            return True
        return False
