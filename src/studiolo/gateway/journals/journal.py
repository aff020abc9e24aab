"""A kernel's journal: every message that it published, numbered, in memory and on disk.

Written to the page cache only, before anybody is told: what a killed process had forwarded is there for the next.
"""

import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Self

from studiolo.gateway.base import Parts
from studiolo.gateway.journals.batches import Batch, Segment, add, cost
from studiolo.gateway.journals.records import HEAD_BYTES, Entry, Gap, Request, digest_code
from studiolo.gateway.journals.segments import Segments
from studiolo.gateway.journals.stock import FILE_BYTES, Stock

MIB = 1024 * 1024
# What waits for `flush`, at most.
_MOST_PENDING = MIB
_MOST_REQUESTS = 4096
_MOST_CELL_CHARACTERS = 64
_RETRY_SECONDS = 1.0
# By how much the first segment is smaller.
_FIRST_SHARE = 16


class Journal:
    """Numbers, keeps and gives back messages. For one thread; no method but `open` and `erase` raises for the disk.

    Numbers begin at 1. Beyond `disk_bytes` the oldest are dropped and leave a gap of known size. While the disk
    cannot be written (`failing`), only what is in memory is kept, and what falls out of it is counted as a gap.
    """

    def __init__(self, segments: Segments, *, memory_bytes: int, segment_bytes: int) -> None:
        self._segments = segments
        self._memory_bytes = memory_bytes
        self._segment_bytes = segment_bytes
        self._batch = Batch()
        # The newest, without holes: its numbers end with `last`.
        self._recent: deque[Entry | Gap] = deque()
        self._recent_costs: deque[int] = deque()
        self._recent_bytes = 0
        # What was in neither memory nor disk: from what the disk has to what memory has.
        self._lost_messages: int | None = 0
        self._lost_bytes: int | None = 0
        # Those that are open, and the last of each cell.
        self._requests = {key: one for key, one in segments.requests.items() if one.cell or one.ended is None}
        self._of_cells: dict[str | None, str] = {one.cell: one.msg_id for one in self._requests.values() if one.cell}
        self._retry_at = 0.0
        self.failing = False
        self.folder = segments.folder
        self.last = segments.last
        self.kernel_number = segments.kernel_number

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        memory_bytes: int = 4 * MIB,
        disk_bytes: int = 256 * MIB,
        segment_bytes: int = FILE_BYTES,
        stock: Stock | None = None,
    ) -> Self:
        """Open the journal in `folder`, made if it is missing, with all that an earlier process wrote.

        A record that was written in part is cut off. `stock`: prepared segments. Raises OSError.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stock is not None:
            stock.prepare()
        segments = Segments(folder, disk_bytes=disk_bytes, stock=stock)
        segments.resume()
        return cls(segments, memory_bytes=memory_bytes, segment_bytes=segment_bytes)

    @property
    def first(self) -> int:
        """The oldest number still kept; `last + 1` when there is none."""
        return self._segments.first

    def append(self, channel: str, parts: Parts, *, parent: str, kernel_number: int | None = None) -> int:
        """Number a message and keep it; return the number.

        `parts` is kept as it is: do not change it afterwards. `parent`: msg_id of its request, or "".
        On disk, and so safe from a kill, after `flush`, unless `failing`.
        """
        self.last += 1
        entry = Entry(self.last, channel, parts, parent, time.time())
        data_bytes = self._batch.add_message(entry, kernel_number or 0)
        if kernel_number is not None and kernel_number > self.kernel_number:
            self.kernel_number = kernel_number
        self._remember(entry, data_bytes)
        return self.last

    def note_gap(self, messages: int | None = None, data_bytes: int | None = None) -> int:
        """Number a place where output is missing, of the given size or of one that nobody knows."""
        self.last += 1
        gap = Gap(self.last, self.last, messages, data_bytes)
        self._batch.add_gap(gap, time.time())
        self._remember(gap, 0)
        return self.last

    def flush(self) -> None:
        """Write what was appended. Call it before the messages go to anybody."""
        if self._batch.size:
            self._write()

    def read(self, after: int, *, most_bytes: int = MIB) -> list[Entry | Gap]:
        """Return what follows number `after`, oldest first: about `most_bytes`, and at least one if there is one.

        Read on after the `number` of the last item.
        """
        found: list[Entry | Gap] = []
        number = max(after, 0) + 1
        while number <= self.last and most_bytes > 0:
            some = self._read_at(number, most_bytes)
            found += some
            most_bytes -= sum(map(cost, some))
            number = some[-1].number + 1
        return found

    def note_request(
        self, msg_id: str, msg_type: str, session: str, cell: str | None = None, *, code: str | None = None
    ) -> None:
        """Note a request before it goes to the kernel; written at once.

        `cell`: `metadata.cellId`; one that is no cell's id is left out. `code`: an execute_request's.
        """
        digest = None if code is None else digest_code(code)
        if cell is not None and not 0 < len(cell) <= _MOST_CELL_CHARACTERS:
            cell = None
        if cell is not None:
            former, self._of_cells[cell] = self._of_cells.get(cell), msg_id
            self._forget_if_done(former)
        self._note(Request(msg_id, msg_type, session, cell, digest, self.last, time.time()))
        self.flush()

    def note_reply(self, msg_id: str) -> None:
        """Note that a request was answered; written with the next flush. Unknown ones are no error."""
        request = self._requests.get(msg_id)
        if request is not None and request.ended is None:
            self._note(replace(request, ended=self.last))
            self._forget_if_done(msg_id)

    def request(self, msg_id: str) -> Request | None:
        """Return what is known of a request: all that are open, and the last of each cell."""
        return self._requests.get(msg_id)

    def requests(self) -> list[Request]:
        """Return all requests that are known, oldest first."""
        return list(self._requests.values())

    def open_requests(self) -> dict[str, Request]:
        """Return the requests, by msg_id, whose reply was not noted; also those of an earlier process."""
        return {request.msg_id: request for request in self._requests.values() if request.ended is None}

    def close(self) -> None:
        """Write what waits and close the files."""
        self.flush()
        self._segments.finish()

    def erase(self) -> None:
        """Remove the journal and its folder. Raises OSError."""
        self._segments.erase()

    def _note(self, request: Request) -> None:
        self._requests[request.msg_id] = request
        self._batch.add_requests([request], self.last, request.at)
        if len(self._requests) > _MOST_REQUESTS:
            ended = (one.msg_id for one in self._requests.values() if one.ended is not None)
            oldest = self._requests.pop(next(ended, next(iter(self._requests))))
            if oldest.cell and self._of_cells.get(oldest.cell) == oldest.msg_id:
                del self._of_cells[oldest.cell]

    def _forget_if_done(self, msg_id: str | None) -> None:
        request = self._requests.get(msg_id) if msg_id else None
        if request and request.ended is not None and self._of_cells.get(request.cell) != msg_id:
            del self._requests[request.msg_id]

    def _remember(self, item: Entry | Gap, data_bytes: int) -> None:
        self._recent.append(item)
        self._recent_costs.append(data_bytes + HEAD_BYTES)
        self._recent_bytes += data_bytes + HEAD_BYTES
        if self._batch.size > _MOST_PENDING:
            self._write()
        while self._recent_bytes > self._memory_bytes and self._recent:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        if not self.failing and self._recent[0].number > self._segments.last:
            self._write()
        item = self._recent.popleft()
        self._recent_bytes -= self._recent_costs.popleft()
        if self.failing and item.number > self._segments.last:
            self._lost_messages = add(self._lost_messages, item.messages if isinstance(item, Gap) else 1)
            self._lost_bytes = add(self._lost_bytes, item.data_bytes)

    def _write(self) -> None:
        batch, self._batch = self._batch, Batch()
        if self.failing and time.monotonic() < self._retry_at:
            return
        try:
            writing = self._segments.writing
            if writing is None or self._is_full(writing):
                self._begin_segment()
            self._segments.write(self._catch_up() if self.failing else batch)
        except OSError:
            self._segments.finish()
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self.failing = True
        else:
            self.failing = False
            self._lost_messages = self._lost_bytes = 0

    def _is_full(self, segment: Segment) -> bool:
        # The first is small: whoever says more goes on in segments that are prepared.
        most = self._segment_bytes // _FIRST_SHARE if segment.first == 1 else self._segment_bytes
        return segment.size >= most

    def _begin_segment(self) -> None:
        self._segments.begin(self._segments.last + 1)
        # So that no older segment is needed to know them.
        known = Batch()
        known.add_requests(self.requests(), self.last, time.time())
        self._segments.write(known)

    def _catch_up(self) -> Batch:
        """Return what the disk missed while it could not be written."""
        batch = Batch()
        lost = self._lost()
        if lost.first <= lost.last:
            batch.add_gap(lost, time.time(), self.kernel_number)
        for item in self._recent:
            if item.number > self._segments.last and isinstance(item, Entry):
                batch.add_message(item, self.kernel_number)
            elif item.number > self._segments.last and isinstance(item, Gap):
                batch.add_gap(item, time.time())
        return batch

    def _lost(self) -> Gap:
        """Return what neither disk nor memory has; its first number is behind its last when that is nothing."""
        first_in_memory = self.last - len(self._recent) + 1
        return Gap(self._segments.last + 1, first_in_memory - 1, self._lost_messages, self._lost_bytes)

    def _read_at(self, number: int, room: int) -> list[Entry | Gap]:
        """Return some of what stands at `number` and behind it in one place."""
        place = number - (self.last - len(self._recent) + 1)
        if place >= 0:
            return self._read_recent(place, room)
        if number < self._segments.first:
            return [self._segments.dropped.cut(number)]
        if number <= self._segments.last:
            return self._segments.read(number, room)
        return [self._lost().cut(number)]

    def _read_recent(self, place: int, room: int) -> list[Entry | Gap]:
        found: list[Entry | Gap] = []
        while place < len(self._recent) and room > 0:
            found.append(self._recent[place])
            room -= cost(found[-1])
            place += 1
        return found
