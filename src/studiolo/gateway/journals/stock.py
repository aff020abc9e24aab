"""Files of zeros that are written before they are needed, so that a journal need not wait for fresh memory.

Most of what it takes to write much at once is the kernel's work for pages of a file that are not in its cache yet.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

MIB = 1024 * 1024
FILES = 8
FILE_BYTES = 8 * MIB
CALM_SECONDS = 1.0
_LEAST_PRIORITY = 19
_PIECE_BYTES = 256 * 1024

logger = logging.getLogger(__name__)


class Stock:
    """The prepared files of one host, in `folder`, on the file system of its journals. Used on one event loop.

    It is filled up once nothing was taken for `calm_seconds`, a thread of the least priority writing. Nobody's output
    was ever in these files. What an earlier process prepared is taken over. Making one raises OSError.
    """

    def __init__(
        self, folder: Path, *, files: int = FILES, file_bytes: int = FILE_BYTES, calm_seconds: float = CALM_SECONDS
    ) -> None:
        self._folder = folder
        self._most = files
        self._file_bytes = file_bytes
        self._calm_seconds = calm_seconds
        self._ready: deque[Path] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, "studiolo-stock", _give_way)
        self._is_wanted = threading.Event()
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in list(folder.iterdir()):
            self._take_over(path)

    def __len__(self) -> int:
        return len(self._ready)

    def take(self, path: Path) -> bool:
        """Move a prepared file to `path`; False if there is none."""
        self.prepare()
        try:
            self._ready.popleft().replace(path)
        except (IndexError, OSError):
            return False
        return True

    def prepare(self) -> None:
        """Fill it up when it has been calm for a while."""
        self._is_wanted.set()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._calm_seconds, self._begin)

    def close(self) -> None:
        """Prepare no more; what there is stays for the next host."""
        self._is_wanted.set()
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown()

    def _begin(self) -> None:
        self._is_wanted.clear()
        self._thread.submit(self._fill)

    def _fill(self) -> None:
        """Write what is missing, until somebody wants a file."""
        while len(self._ready) < self._most and not self._is_wanted.is_set():
            path = self._folder / uuid4().hex
            try:
                _write_zeros(path, self._file_bytes)
            except OSError as error:
                path.unlink(missing_ok=True)
                logger.info("No file can be prepared for journals: %s", error)
                return
            self._ready.append(path)

    def _take_over(self, path: Path) -> None:
        """Count in what an earlier process prepared; what it wrote in part is removed."""
        if path.stat().st_size == self._file_bytes:
            self._ready.append(path)
        else:
            path.unlink()


def _write_zeros(path: Path, size: int) -> None:
    with path.open("xb", buffering=0) as file:
        while size > 0:
            size -= file.write(bytes(min(size, _PIECE_BYTES)))


def _give_way() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST_PRIORITY)
