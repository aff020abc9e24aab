"""What a journal writes at once, and the account that is kept of each of its files. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from studiolo.gateway.journals.records import HEAD_BYTES, Entry, Gap, Request, pack_gap, pack_message, pack_requests

# How far apart the places are, at least, that an account knows.
MARK_BYTES = 64 * 1024


@dataclass(slots=True)
class Batch:
    """Records that are written at once. Counts are None once a gap of unknown size is among them."""

    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    last: int = 0
    messages: int | None = 0
    data_bytes: int | None = 0
    kernel_number: int = 0
    marks: list[tuple[int, int]] = field(default_factory=list)

    def add_message(self, entry: Entry, kernel_number: int) -> int:
        """Add a message; return the length of its parts."""
        pieces, size, data_bytes = pack_message(entry, kernel_number)
        self.count(entry.number, entry.number, size, 1, data_bytes, kernel_number)
        self.pieces += pieces
        return data_bytes

    def add_gap(self, gap: Gap, at: float, kernel_number: int = 0) -> None:
        """Add a gap."""
        record = pack_gap(gap, at, kernel_number)
        self.count(gap.first, gap.last, len(record), gap.messages, gap.data_bytes, kernel_number)
        self.pieces.append(record)

    def add_requests(self, requests: Sequence[Request], number: int, at: float) -> None:
        """Add what is known of requests."""
        record = pack_requests(requests, number, at)
        self.size += len(record)
        self.pieces.append(record)

    def count(
        self, first: int, last: int, size: int, messages: int | None, data_bytes: int | None, kernel_number: int = 0
    ) -> None:
        """Take account of a numbered record of `size` bytes."""
        if not self.marks or self.size >= self.marks[-1][1] + MARK_BYTES:
            self.marks.append((first, self.size))
        self.size += size
        self.last = last
        self.messages = add(self.messages, messages)
        self.data_bytes = add(self.data_bytes, data_bytes)
        if kernel_number > self.kernel_number:
            self.kernel_number = kernel_number


@dataclass(slots=True)
class Segment:
    """One file. `first` to `last`: its numbers; `messages`, `data_bytes`: None where a gap of unknown size is within.

    `marks`: (number, offset) of a record every MARK_BYTES or two.
    """

    name: str
    first: int
    last: int
    size: int = 0
    messages: int | None = 0
    data_bytes: int | None = 0
    kernel_number: int = 0
    marks: list[tuple[int, int]] = field(default_factory=list)

    def take(self, batch: Batch) -> None:
        """Take account of records that were written at its end."""
        for number, offset in batch.marks:
            place = self.size + offset
            if not self.marks or place >= self.marks[-1][1] + MARK_BYTES:
                self.marks.append((number, place))
        self.size += batch.size
        self.last = max(self.last, batch.last)
        self.messages = add(self.messages, batch.messages)
        self.data_bytes = add(self.data_bytes, batch.data_bytes)
        self.kernel_number = max(self.kernel_number, batch.kernel_number)


def cost(item: Entry | Gap) -> int:
    """Return what an item counts for where bytes are limited: its parts and what comes with each."""
    return HEAD_BYTES + (item.data_bytes if isinstance(item, Entry) else 0)


def add(known: int | None, more: int | None) -> int | None:
    """Add counts, of which None is one that nobody knows."""
    return None if known is None or more is None else known + more
