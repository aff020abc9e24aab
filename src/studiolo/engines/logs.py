"""A launch's log in a file: its end, and what is added to it, also across the trimming that keeps it bounded."""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

_TAIL_BYTES = 512 * 1024
_CHUNK_BYTES = 64 * 1024
_POLL_SECONDS = 0.25
# By so much of what was read last the place is found again in a log that was trimmed.
_CONTEXT_BYTES = 4096


def open_written(path: Path) -> BinaryIO:
    """Open a file that a workload writes. Raises FileNotFoundError also for a link, a pipe or a folder, else OSError.

    A link that is followed would show people files of ours.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, "It is a link", str(path)) from exc
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "It is no plain file", str(path))
    return os.fdopen(descriptor, "rb")


def tail(log: Path, lines: int) -> list[str]:
    """Return the last lines, oldest first, of at most the last half mebibyte."""
    try:
        with open_written(log) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []


async def follow(log: Path, *, lines: int, is_running: Callable[[], bool]) -> AsyncIterator[str]:
    """Yield the last `lines` lines and then each line as it is written, until the launch has ended.

    Reads only as fast as its reader takes lines; holds at most a chunk of 64 KiB. A longer line comes in pieces.
    """
    reader = await asyncio.to_thread(_Reader, log, lines)
    rest = b""
    while True:
        # Asked first: what was written before the end is still read after it.
        was_running = is_running()
        chunk = await asyncio.to_thread(reader.read)
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield _text(line)
        if len(rest) >= _CHUNK_BYTES:
            yield _text(rest)
            rest = b""
        if chunk:
            continue
        if not was_running and not reader.is_lost:
            break
        await asyncio.sleep(_POLL_SECONDS)
    if rest:
        yield _text(rest)


class _Reader:
    """Reads on where it stopped. `is_lost`: the log changed under it, and the next read finds the place."""

    def __init__(self, log: Path, lines: int) -> None:
        self._log = log
        self._offset, self._context = _start(log, lines)
        self.is_lost = False

    def read(self) -> bytes:
        """Return at most a chunk of what is new; nothing when there is nothing, or not yet."""
        try:
            with open_written(self._log) as file:
                if not self._is_in_place(file.seek(0, os.SEEK_END), file.fileno()):
                    if not self.is_lost:
                        # It may be in the middle of being trimmed: look again before looking for the place.
                        self.is_lost = True
                        return b""
                    self._find_place(file.fileno())
                self.is_lost = False
                chunk = os.pread(file.fileno(), _CHUNK_BYTES, self._offset)
        except FileNotFoundError:
            return b""
        self._offset += len(chunk)
        self._context = (self._context + chunk)[-_CONTEXT_BYTES:]
        return chunk

    def _is_in_place(self, size: int, descriptor: int) -> bool:
        known = self._context
        return size >= self._offset and os.pread(descriptor, len(known), self._offset - len(known)) == known

    def _find_place(self, descriptor: int) -> None:
        """Trimming drops the first half: what was read last is in the rest, or all of the rest is new."""
        kept = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        found = kept.rfind(self._context) if self._context else -1
        self._offset = found + len(self._context) if found >= 0 else 0
        if found < 0:
            self._context = b""


def _start(log: Path, lines: int) -> tuple[int, bytes]:
    """Return where the last lines begin, and what stands before."""
    try:
        with open_written(log) as file:
            size = file.seek(0, os.SEEK_END)
            begin = max(0, size - _TAIL_BYTES)
            file.seek(begin)
            end = file.read(size - begin)
    except FileNotFoundError:
        return 0, b""
    parts = end.split(b"\n")
    # A line that is not finished yet counts as one.
    wanted = parts[-lines - (not parts[-1]) :] if lines > 0 else []
    offset = size - len(b"\n".join(wanted))
    return offset, end[: offset - begin][-_CONTEXT_BYTES:]


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
