"""A file of JSON lines that several processes append to and thin out at the same time, without locks."""

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from studiolo.runtime.history.place import FileTooLongError, find_status, opened, read_file
from studiolo.runtime.history.writing import write_all

Line = dict[str, Any]
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_BYTES = 16 * 1024 * 1024


class Lines:
    """Lines of one file. What a kill tore is skipped; a line that was appended twice is there once.

    To thin it, the file is put aside under the name `….old`: who appended to that one meanwhile notices, and appends
    again. Until it is gone, both are read.
    """

    def __init__(self, root: Path, parts: tuple[str, ...], name: str) -> None:
        self._root = root
        self._parts = parts
        self._name = name

    def append(self, *lines: Line) -> None:
        """Append lines; durable when this returns. Raises OSError."""
        # Begun by a newline as well: before it there may be half a line.
        content = b"".join(b"\n" + _encode(line) + b"\n" for line in lines)
        with opened(self._root, self._parts, make=True) as folder:
            while not self._append(folder, content):
                pass
            os.fsync(folder)

    def read(self) -> list[Line]:
        """Return all lines, oldest first; of a file beyond 16 MiB none. Raises OSError except for a missing file."""
        return list(_decode(self._raw()).values())

    def holds(self, text: str) -> bool:
        """Tell whether some line has this text, which must be ASCII; quicker than reading them."""
        return text.encode() in self._raw()

    def thin(self, keep: Callable[[list[Line]], list[Line]]) -> None:
        """Keep the lines that `keep` returns, in their order. Raises OSError."""
        lines = self.read()
        if len(keep(lines)) == len(lines):
            return
        aside = f"{self._name}.old"
        with opened(self._root, self._parts) as folder:
            # One that is there was left by a kill, and is finished first.
            if find_status(folder, aside) is None:
                os.rename(self._name, aside, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            kept = keep(list(_decode(self._read_one(folder, aside)).values()))
            if kept:
                self.append(*kept)
            os.unlink(aside, dir_fd=folder)

    def _append(self, folder: int, content: bytes) -> bool:
        descriptor = os.open(self._name, _APPEND, 0o600, dir_fd=folder)
        try:
            written = os.fstat(descriptor)
            if not stat.S_ISREG(written.st_mode):
                raise OSError(f"{self._name} is no plain file")
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        now = find_status(folder, self._name)
        return now is not None and os.path.samestat(written, now)

    def _raw(self) -> bytes:
        with suppress(FileNotFoundError), opened(self._root, self._parts) as folder:
            return self._read_one(folder, f"{self._name}.old") + b"\n" + self._read_one(folder, self._name)
        return b""

    def _read_one(self, folder: int, name: str) -> bytes:
        try:
            return read_file(folder, name, most=_MOST_BYTES)[0]
        except (FileNotFoundError, FileTooLongError):
            return b""


def _encode(line: Line) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode()


def _decode(content: bytes) -> dict[bytes, Line]:
    found: dict[bytes, Line] = {}
    for text in content.split(b"\n"):
        with suppress(ValueError):
            line = json.loads(text)
            if isinstance(line, dict):
                found.setdefault(text, line)
    return found
