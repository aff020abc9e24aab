"""Where each session of a kernel's clients reads, in a small file that outlives a kill of the host."""

import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path

# Layout of the file, little-endian: the highest number sent to anybody (8 bytes), 8 bytes of nothing, then records of
# 32 bytes: digest of session and person (16), number (8), the order of the last use (8; 0: free).
_RECORD = struct.Struct("<16sQQ")
_NUMBER = struct.Struct("<Q")
_HEAD = 16
RECORDS = 255


class Cursors:
    """A file of 8 KiB, mapped: noting a number costs no system call, and the page cache survives the process."""

    def __init__(self, path: Path) -> None:
        size = _HEAD + RECORDS * _RECORD.size
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            is_new = os.fstat(descriptor).st_size == 0
            os.ftruncate(descriptor, size)
            self._map = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self._slots: dict[bytes, int] = {}
        self._uses: dict[bytes, int] = {}
        for place in () if is_new else range(_HEAD, size, _RECORD.size):
            digest, _, use = _RECORD.unpack_from(self._map, place)
            if use:
                self._slots[digest] = place
                self._uses[digest] = use
        self._clock = max(self._uses.values(), default=0)
        self.furthest: int = _NUMBER.unpack_from(self._map, 0)[0]

    def find(self, session: str, person: str) -> int | None:
        """Return the number that a session of a person was last sent, None if it is not known (any more)."""
        place = self._slots.get(_digest(session, person))
        return None if place is None else int(_RECORD.unpack_from(self._map, place)[1])

    def note(self, session: str, person: str, number: int) -> None:
        """Note what a session is being sent; without a name only the highest number of all is noted."""
        if number > self.furthest:
            self.furthest = number
            _NUMBER.pack_into(self._map, 0, number)
        if not session:
            return
        digest = _digest(session, person)
        place = self._slots.get(digest)
        if place is None:
            place = self._free()
            self._slots[digest] = place
        self._clock += 1
        self._uses[digest] = self._clock
        _RECORD.pack_into(self._map, place, digest, number, self._clock)

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()

    def _free(self) -> int:
        if len(self._slots) < RECORDS:
            taken = set(self._slots.values())
            return next(place for place in range(_HEAD, len(self._map), _RECORD.size) if place not in taken)
        oldest = min(self._uses, key=self._uses.__getitem__)
        del self._uses[oldest]
        return self._slots.pop(oldest)


def _digest(session: str, person: str) -> bytes:
    return blake2b(f"{session}\0{person}".encode(), digest_size=16).digest()
