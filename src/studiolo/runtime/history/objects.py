"""Contents of versions, compressed, each once, named by their SHA-256."""

import hashlib
import os
import re
import time
import zlib
from contextlib import suppress
from pathlib import Path

from studiolo.runtime.history.place import OURS, FileTooLongError, find_status, list_names, opened, read_file
from studiolo.runtime.history.writing import prepared

_PARTS = (OURS, "history", "objects")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Of two programs that keep the same content, the one that finds it there must not have it removed under its hands.
_YOUNG_SECONDS = 86_400


def digest(content: bytes) -> str:
    """Return the name of a content: its SHA-256, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


class Objects:
    """The contents kept in one workspace."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, content: bytes) -> None:
        """Keep a content under its digest `name`; durable when this returns. Raises OSError."""
        with opened(self._root, (*_PARTS, name[:2]), make=True) as folder:
            with suppress(FileNotFoundError):
                os.utime(name, dir_fd=folder, follow_symlinks=False)
                return
            # The quickest level: notebooks are mostly pictures already compressed, or text that any level halves.
            with prepared(folder, zlib.compress(content, 1), mode=0o600) as put:
                put(name)

    def has(self, name: str) -> bool:
        """Tell whether a content is kept."""
        try:
            with opened(self._root, (*_PARTS, name[:2])) as folder:
                return find_status(folder, name) is not None
        except FileNotFoundError:
            return False

    def get(self, name: str, *, most: int) -> bytes:
        """Return a content. Raises FileNotFoundError, also where what is kept is damaged; FileTooLongError."""
        if not _DIGEST.fullmatch(name):
            raise FileNotFoundError(name)
        with opened(self._root, (*_PARTS, name[:2])) as folder:
            compressed = read_file(folder, name, most=most)[0]
        reader = zlib.decompressobj()
        try:
            content = reader.decompress(compressed, most)
        except zlib.error as error:
            raise FileNotFoundError(name) from error
        if reader.unconsumed_tail:
            raise FileTooLongError(name, most)
        if digest(content) != name:
            raise FileNotFoundError(name)
        return content

    def remove_others(self, wanted: set[str]) -> None:
        """Remove what is not wanted, unless somebody kept it within the last day."""
        with suppress(FileNotFoundError), opened(self._root, _PARTS) as all_of_them:
            groups = list_names(all_of_them)
            for group in groups:
                with suppress(NotADirectoryError), opened(self._root, (*_PARTS, group)) as folder:
                    _remove_others(folder, wanted)


def _remove_others(folder: int, wanted: set[str]) -> None:
    for name in list_names(folder):
        status = find_status(folder, name)
        if name not in wanted and status is not None and status.st_mtime < time.time() - _YOUNG_SECONDS:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
