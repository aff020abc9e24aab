"""A journal's files: records appended to segments, the oldest of which are dropped, whole."""

import os
import shutil
from bisect import bisect_right
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from studiolo.gateway.journals.batches import MARK_BYTES, Batch, Segment, add, cost
from studiolo.gateway.journals.records import (
    DamagedRecordError,
    Entry,
    Gap,
    Kind,
    Record,
    Request,
    read_record,
    read_requests,
    walk,
)
from studiolo.gateway.journals.stock import Stock
from studiolo.gateway.messages.wire import dump

# As many as one call takes (IOV_MAX).
_MOST_PIECES = 1024
_JOIN_BELOW = 256 * 1024
# Length of what each record begins with.
_MARK = 4


class Segments:
    """The segments of one journal, in `folder`, of which the last is written to. All calls but `read` raise OSError.

    `requests`: as the last segment, which repeats all at its beginning, knows them.
    """

    def __init__(self, folder: Path, *, disk_bytes: int, stock: Stock | None = None) -> None:
        self.folder = folder
        self._stock = stock
        self._disk_bytes = disk_bytes
        self._descriptor: int | None = None
        self.requests: dict[str, Request] = {}
        self.dropped, indexed = self._read_index()
        self.all: list[Segment] = []
        for path in sorted(folder.glob("*.journal")):
            segment = indexed.get(path.name) or _new(path.name)
            if path.name in indexed and segment.last <= self.dropped.last:
                path.unlink()
            else:
                self.all.append(segment)
        self._scan_those_not_in(indexed)

    @property
    def first(self) -> int:
        """The oldest number that was not dropped."""
        return self.dropped.last + 1

    @property
    def last(self) -> int:
        """The newest number on disk."""
        return self.all[-1].last if self.all else self.dropped.last

    @property
    def kernel_number(self) -> int:
        """The highest kernel number on disk."""
        return max((segment.kernel_number for segment in self.all), default=0)

    @property
    def writing(self) -> Segment | None:
        """The segment that is written to, None before `begin` or `resume`."""
        return self.all[-1] if self._descriptor is not None else None

    def begin(self, first: int) -> Segment:
        """Begin a segment whose first number will be `first`; drop the oldest if there is too much."""
        self.finish()
        segment = _new(f"{first:020d}.journal")
        path = self.folder / segment.name
        # Most kernels say too little for a second segment.
        is_prepared = bool(self.all) and self._stock is not None and self._stock.take(path)
        # Nothing of value can be there: zeros, or the torn beginning of an earlier try.
        flags = os.O_WRONLY if is_prepared else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._descriptor = os.open(path, flags, 0o600)
        self.all = [known for known in self.all if known.name != segment.name]
        self.all.append(segment)
        self._drop()
        self._write_index()
        return segment

    def resume(self) -> None:
        """Write on in the last segment of an earlier process, if there is one."""
        if self.all:
            self._descriptor = os.open(self.folder / self.all[-1].name, os.O_WRONLY)

    def write(self, batch: Batch) -> None:
        """Write behind what the last segment has. After an error it is as it was, and closed."""
        segment = self.all[-1]
        assert self._descriptor is not None
        try:
            _write_all(self._descriptor, batch.pieces, batch.size, segment.size)
        except OSError:
            self.finish()
            raise
        segment.take(batch)

    def read(self, number: int, room: int) -> list[Entry | Gap]:
        """Return what begins at `number`, until about `room` bytes; what cannot be read is a gap."""
        place = bisect_right(self.all, number, key=lambda segment: segment.first) - 1
        segment = self.all[place] if place >= 0 else None
        if segment is None or number > segment.last:
            return [Gap(number, self.all[place + 1].first - 1, None, None)]
        try:
            return _read_segment(self.folder / segment.name, segment, number, room)
        except OSError:
            return [Gap(number, segment.last, None, None)]

    def finish(self) -> None:
        """Close the segment that is written to; what is prepared behind its records is cut off."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.all[-1].size)
            os.close(self._descriptor)
            self._descriptor = None

    def erase(self) -> None:
        """Remove the folder with all that is in it."""
        self.finish()
        shutil.rmtree(self.folder)

    def _drop(self) -> None:
        total = sum(segment.size for segment in self.all)
        gone = 0
        while total > self._disk_bytes and gone < len(self.all) - 1:
            segment = self.all[gone]
            # What was lost between segments was never counted.
            whole = segment.first == self.dropped.last + 1
            messages = add(self.dropped.messages, segment.messages if whole else None)
            data_bytes = add(self.dropped.data_bytes, segment.data_bytes if whole else None)
            self.dropped = Gap(1, segment.last, messages, data_bytes)
            total -= segment.size
            gone += 1
        if gone:
            # First the index: a crash in between leaves a file that the next start removes.
            dropped, self.all = self.all[:gone], self.all[gone:]
            self._write_index(dropped)
            for segment in dropped:
                (self.folder / segment.name).unlink(missing_ok=True)

    def _read_index(self) -> tuple[Gap, dict[str, Segment]]:
        try:
            index = from_json((self.folder / "index.json").read_bytes())
            segments = [
                Segment(**{**members, "marks": [(number, offset) for number, offset in members["marks"]]})
                for members in index["segments"]
            ]
            return Gap(*index["dropped"]), {segment.name: segment for segment in segments}
        except (OSError, ValueError, TypeError, KeyError):
            return Gap(1, 0, 0, 0), {}

    def _write_index(self, also: list[Segment] | None = None) -> None:
        finished = [*(also or []), *self.all[:-1]]
        path = self.folder / "index.json.new"
        path.write_bytes(dump({"dropped": self.dropped, "segments": [_members(segment) for segment in finished]}))
        path.replace(self.folder / "index.json")

    def _scan_those_not_in(self, indexed: dict[str, Segment]) -> None:
        last = len(self.all) - 1
        for place in range(last, -1, -1):
            name = self.all[place].name
            if place != last and name in indexed:
                continue
            self.all[place], requests = self._scan(name)
            if self.all[place].size == 0:
                # Killed while it began: the one before is the last.
                (self.folder / name).unlink()
                del self.all[place]
                last = min(last, place - 1)
            elif place == last:
                self.requests = requests

    def _scan(self, name: str) -> tuple[Segment, dict[str, Request]]:
        """Look through a segment of an earlier process, and cut what it wrote in part."""
        path = self.folder / name
        data = path.read_bytes()
        requests: dict[str, Request] = {}
        whole = Batch()
        with suppress(DamagedRecordError):
            for record in walk(data):
                if record.end > len(data):
                    break
                if record.kind == Kind.REQUESTS:
                    requests.update((request.msg_id, request) for request in read_requests(data, record))
                    whole.size = record.end
                else:
                    item = read_record(data, record)
                    first, messages = (item.first, item.messages) if isinstance(item, Gap) else (item.number, 1)
                    whole.count(
                        first, item.number, record.end - whole.size, messages, item.data_bytes, record.kernel_number
                    )
        if whole.size < len(data):
            os.truncate(path, whole.size)
        segment = _new(name)
        segment.take(whole)
        return segment, requests


def _new(name: str) -> Segment:
    first = int(name.partition(".")[0])
    return Segment(name, first, first - 1)


def _members(segment: Segment) -> dict[str, Any]:
    # asdict() copies every mark.
    return {field.name: getattr(segment, field.name) for field in fields(segment)}


def _read_segment(path: Path, segment: Segment, number: int, room: int) -> list[Entry | Gap]:
    mark = bisect_right(segment.marks, (number, segment.size)) - 1
    offset = segment.marks[max(mark, 0)][1]
    found: list[Entry | Gap] = []
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        data = os.pread(descriptor, min(segment.size - offset, 2 * MARK_BYTES + room), offset)
        with suppress(DamagedRecordError):
            for record in walk(data):
                if record.number < number or record.kind == Kind.REQUESTS:
                    continue
                if record.end <= len(data):
                    item = read_record(data, record)
                elif found:
                    break
                else:
                    item = _read_alone(descriptor, offset, record)
                found.append(item if isinstance(item, Entry) else item.cut(number))
                room -= cost(item)
                if room <= 0:
                    break
    finally:
        os.close(descriptor)
    return found or [Gap(number, segment.last, None, None)]


def _read_alone(descriptor: int, offset: int, record: Record) -> Entry | Gap:
    size = record.end - record.start
    body = os.pread(descriptor, size, offset + record.start)
    if len(body) < size:
        raise DamagedRecordError("the file is shorter than it was")
    return read_record(body, record._replace(start=0, end=size))


def _write_all(descriptor: int, pieces: list[bytes], size: int, offset: int) -> None:
    """Write pieces at an offset where nothing stands, or zeros.

    The first bytes of the first record come last: without them no reader takes what a killed process wrote in part
    for records, whatever the file's length.
    """
    mark, pieces = pieces[0][:_MARK], [pieces[0][_MARK:], *pieces[1:]]
    place = offset + _MARK
    if size <= _JOIN_BELOW:
        pieces = [b"".join(pieces)]
    for start in range(0, len(pieces), _MOST_PIECES):
        some = pieces[start : start + _MOST_PIECES]
        written = os.pwritev(descriptor, some, place)
        place += written
        if written < sum(map(len, some)):
            rest = memoryview(b"".join(some))[written:]
            while rest:
                written = os.pwrite(descriptor, rest, place)
                place += written
                rest = rest[written:]
    os.pwrite(descriptor, mark, offset)
