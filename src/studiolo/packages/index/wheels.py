"""METADATA out of a wheel, by as few of its bytes as that takes: a zip's directory lies at its end."""

import io
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

TAIL_BYTES = 128 << 10
_AHEAD = 32 << 10
_MOST_BYTES = 8 << 20
_MOST_PARTS = 20
Fetch = Callable[[int, int], Awaitable[bytes]]


class NotAWheel(ValueError):
    """The archive holds no METADATA that can be read."""


def metadata_of(wheel: Path) -> bytes:
    """Return a wheel's METADATA. Raises NotAWheel, OSError."""
    with wheel.open("rb") as file:
        return _read(file)


async def fetch_metadata(size: int, tail: bytes, fetch: Fetch) -> bytes:
    """Return the METADATA of a wheel of `size` bytes that lies elsewhere. `tail`: its end, best TAIL_BYTES of it.

    `fetch(start, end)` returns those bytes, without the one at `end`. Raises NotAWheel and what `fetch` raises.
    """
    sparse = _Sparse(size)
    sparse.add(size - len(tail), tail)
    for _ in range(_MOST_PARTS):
        try:
            return _read(sparse)
        except _Missing as missing:
            end = min(size, missing.start + max(missing.length, _AHEAD))
            sparse.add(missing.start, await fetch(missing.start, end))
    raise NotAWheel("the wheel is in too many parts")


def _read(file: io.RawIOBase | io.BufferedReader) -> bytes:
    try:
        with zipfile.ZipFile(file) as wheel:
            found = [info for info in wheel.infolist() if _is_metadata(info.filename)]
            if len(found) != 1 or found[0].file_size > _MOST_BYTES:
                raise NotAWheel("the wheel has no METADATA, or several")
            with wheel.open(found[0]) as member:
                return member.read(_MOST_BYTES)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError) as exc:
        raise NotAWheel("the wheel cannot be read") from exc


def _is_metadata(name: str) -> bool:
    folder, _, file = name.partition("/")
    return folder.endswith(".dist-info") and file == "METADATA"


class _Missing(Exception):
    def __init__(self, start: int, length: int) -> None:
        super().__init__(start, length)
        self.start, self.length = start, length


class _Sparse(io.RawIOBase):
    """A file of which parts are here; reading elsewhere says which part is missing."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._place = 0
        self._parts: list[tuple[int, bytes]] = []

    def add(self, start: int, part: bytes) -> None:
        """Take a part."""
        self._parts.append((start, part))

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning")
        self._place = base + offset
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._place + size)
        length = end - self._place
        if length <= 0:
            return b""
        for start, part in self._parts:
            if start <= self._place and end <= start + len(part):
                found = part[self._place - start : end - start]
                self._place = end
                return found
        raise _Missing(self._place, length)
