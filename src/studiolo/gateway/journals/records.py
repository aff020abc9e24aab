"""What a journal is made of, and how each record looks on disk: pure.

The layout is drawn in docs/explanation/kernel-wire.md.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from pydantic_core import from_json

from studiolo.gateway.base import CHANNELS, Parts
from studiolo.gateway.messages.wire import dump


class Entry(NamedTuple):
    """One message of a kernel. `parent`: msg_id of its request, or "". `at`: seconds since 1970."""

    number: int
    channel: str
    parts: Parts
    parent: str
    at: float

    @property
    def data_bytes(self) -> int:
        """Length of its parts."""
        return sum(map(len, self.parts))


class Gap(NamedTuple):
    """The numbers `first` to `last` cannot be had. `messages`, `data_bytes`: how many and how long; None: not known."""

    first: int
    last: int
    messages: int | None
    data_bytes: int | None

    @property
    def number(self) -> int:
        """Where to read on: as of an entry."""
        return self.last

    def cut(self, number: int) -> "Gap":
        """Return what of it lies at or after `number`; its messages stay known where each took one number."""
        if number <= self.first:
            return self
        plain = self.messages == self.last - self.first + 1
        return Gap(number, self.last, self.last - number + 1 if plain else None, None)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a client sent through the host.

    `cell`: `metadata.cellId`, as JupyterLab sends it. `code`: digest of its code, see digest_code. `number`: the
    journal's last number when it came, `ended` when its reply came (None: not yet); `at`: seconds since 1970.
    """

    msg_id: str
    msg_type: str
    session: str
    cell: str | None
    code: str | None
    number: int
    at: float
    ended: int | None = None


class Kind(IntEnum):
    """What a record holds."""

    MESSAGE = 1
    GAP = 2
    # Requests, as JSON: each replaces what was known of its msg_id.
    REQUESTS = 3


class Record(NamedTuple):
    """A record's head, and where its body stands: `start` to `end`."""

    kind: int
    number: int
    kernel_number: int
    at: float
    channel: int
    parent_bytes: int
    parts: int
    start: int
    end: int


class DamagedRecordError(ValueError):
    """These bytes are no record."""


# magic, body's length, number, kernel number, at, parent's length, channel, kind, count of parts
_HEAD = struct.Struct("<4sQQQdHBBI")
_GAP = struct.Struct("<Qqq")
_MAGIC = b"SJL1"
HEAD_BYTES = _HEAD.size
_REQUEST_MEMBERS = tuple(one.name for one in fields(Request))
_CHANNEL_CODES = {name: code for code, name in enumerate(CHANNELS)}


def pack_message(entry: Entry, kernel_number: int) -> tuple[list[bytes], int, int]:
    """Return (pieces to write in a row, their length, length of the parts). Raises KeyError for an unknown channel."""
    number, channel, parts, parent, at = entry
    sizes = [len(part) for part in parts]
    size = sum(sizes)
    name = parent.encode()
    body = 8 * len(sizes) + len(name) + size
    head = _message_head(len(sizes)).pack(
        _MAGIC,
        body,
        number,
        kernel_number,
        at,
        len(name),
        _CHANNEL_CODES[channel],
        Kind.MESSAGE,
        len(sizes),
        *sizes,
    )
    return [head + name, *parts], HEAD_BYTES + body, size


def pack_gap(gap: Gap, at: float, kernel_number: int = 0) -> bytes:
    """Return the record of a gap; its number is the gap's last."""
    body = _GAP.pack(gap.first, _or_unknown(gap.messages), _or_unknown(gap.data_bytes))
    return _HEAD.pack(_MAGIC, len(body), gap.last, kernel_number, at, 0, 0, Kind.GAP, 0) + body


def pack_requests(requests: Sequence[Request], number: int, at: float) -> bytes:
    """Return a record of requests; `number`: the journal's last, since it takes none of its own."""
    # asdict copies deeply, which takes longer than all else that is done for a request.
    body = dump([{name: getattr(request, name) for name in _REQUEST_MEMBERS} for request in requests])
    return _HEAD.pack(_MAGIC, len(body), number, 0, at, 0, 0, Kind.REQUESTS, 0) + body


def walk(data: bytes, position: int = 0) -> Iterator[Record]:
    """Yield the records that stand whole or in part in `data`; the last one's `end` may lie beyond it.

    Raises DamagedRecordError where there is no record.
    """
    while position + HEAD_BYTES <= len(data):
        magic, size, number, kernel_number, at, parent_bytes, channel, kind, count = _HEAD.unpack_from(data, position)
        if magic != _MAGIC or channel >= len(CHANNELS) or 8 * count + parent_bytes > size:
            raise DamagedRecordError(f"no record at {position}")
        start = position + HEAD_BYTES
        position = start + size
        yield Record(kind, number, kernel_number, at, channel, parent_bytes, count, start, position)


def read_record(data: bytes, record: Record) -> Entry | Gap:
    """Return the message or gap whose whole record is in `data`. Raises DamagedRecordError."""
    try:
        if record.kind == Kind.GAP:
            first, messages, size = _GAP.unpack_from(data, record.start)
            return Gap(first, record.number, None if messages < 0 else messages, None if size < 0 else size)
        sizes = struct.unpack_from(f"<{record.parts}Q", data, record.start)
        position = record.start + 8 * record.parts + record.parent_bytes
        parent = data[position - record.parent_bytes : position].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise DamagedRecordError(str(error)) from error
    if position + sum(sizes) != record.end:
        raise DamagedRecordError("its parts are not as long as it")
    parts = []
    for size in sizes:
        parts.append(data[position : position + size])
        position += size
    return Entry(record.number, CHANNELS[record.channel], parts, parent, record.at)


def read_requests(data: bytes, record: Record) -> list[Request]:
    """Return the requests of a record of that kind. Raises DamagedRecordError."""
    try:
        return [Request(**members) for members in from_json(data[record.start : record.end])]
    except (TypeError, ValueError) as error:
        raise DamagedRecordError(str(error)) from error


def digest_code(code: str) -> str:
    """Return what a request is compared by with a cell's source: a digest, since sources may be long."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=64)
def _message_head(count: int) -> struct.Struct:
    return struct.Struct(f"{_HEAD.format}{count}Q")


def _or_unknown(count: int | None) -> int:
    return -1 if count is None else count
