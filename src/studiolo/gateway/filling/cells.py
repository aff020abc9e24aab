"""What each cell of a notebook has put out, read from a kernel's journal: the outputs that its page would show.

Sources: the messaging specification (iopub), nbformat 4.5 (outputs), JupyterLab's output area (what is merged).
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import from_json

from studiolo.gateway.filling.outputs import Output, append_text, gap_output, read_output
from studiolo.gateway.journals.journal import MIB, Journal
from studiolo.gateway.journals.records import Entry, Gap, Request
from studiolo.gateway.messages.wire import BadMessageError, read_header

# What still has room in a cell whose output was cut, so that one sees how it ended.
_ENDS = ("error", "execute_result")
_ROOM_FOR_ENDS = 64 * 1024
_MOST_CELLS = 4096
_SHOWN = ("stream", "display_data", *_ENDS)


@dataclass(slots=True)
class CellRun:
    """The last run of a cell. `first` to `last`: where in the journal it stands; `at`: seconds since 1970.

    `code`: digest of the code that was sent, see records.digest_code. `outputs`: as nbformat 4.5 has them. `gap`:
    whether some is missing there. `changed_at`: when it last put something out, or ended. `clears_next`: whether a
    `clear_output(wait=True)` waits for the next output. `displays`: places in `outputs` by display id.
    """

    request: str
    session: str
    code: str | None
    at: float
    first: int
    last: int
    is_running: bool = True
    execution_count: int | None = None
    outputs: list[Output] = field(default_factory=list)
    gap: bool = False
    changed_at: float = 0.0
    clears_next: bool = False
    displays: dict[str, list[int]] = field(default_factory=dict)


class Cells:
    """The last run of each cell that an execute request named, kept up to date piece by piece.

    Beyond `cell_bytes` for a cell, or `total_bytes` for all, output stays in the journal, and a gap says how much.
    """

    def __init__(
        self, journal: Journal, *, after: int = 0, cell_bytes: int = 8 * MIB, total_bytes: int = 32 * MIB
    ) -> None:
        self.last = after
        self._journal = journal
        self._cell_bytes = cell_bytes
        self._total_bytes = total_bytes
        self._runs: dict[str, _Run] = {}
        self._size = 0

    def advance(self, *, most_bytes: int = MIB // 4, most_seconds: float = 0.005) -> bool:
        """Read on in the journal for some milliseconds; return whether there is more."""
        until = time.monotonic() + most_seconds
        for item in self._journal.read(self.last, most_bytes=most_bytes):
            self.feed(item)
            if time.monotonic() > until:
                break
        return self.last < self._journal.last

    def feed(self, item: Entry | Gap) -> None:
        """Take the next item of the journal. What is no message of the protocol is left out."""
        self.last = item.number
        if isinstance(item, Gap):
            for run in self._touched_by(item):
                run.lose(item)
        elif item.channel == "iopub":
            try:
                self._take(item, read_header(item.parts).msg_type)
            except (BadMessageError, ValueError):
                return

    def since(self, after: int = 0) -> dict[str, CellRun]:
        """Return, by cell, copies of the runs that changed after that number, and of those that go on."""
        for request in self._journal.requests():
            run = self._run_of(request)
            if run is not None and request.ended is not None and self.last >= self._journal.last:
                run.seen.is_running = False
        return {cell: run.copy() for cell, run in self._runs.items() if run.seen.last > after or run.seen.is_running}

    def _take(self, entry: Entry, msg_type: str) -> None:
        if msg_type == "update_display_data":
            if len(entry.parts[3]) > self._cell_bytes:
                return
            self._update_displays(entry, _content(entry))
            return
        request = self._journal.request(entry.parent) if entry.parent else None
        run = self._run_of(request) if request is not None else None
        if run is None:
            return
        size = run.size
        self._apply(run, entry, msg_type)
        self._size += run.size - size

    def _apply(self, run: "_Run", entry: Entry, msg_type: str) -> None:
        run.seen.last, run.seen.changed_at = entry.number, entry.at
        if msg_type in _SHOWN:
            self._show(run, entry, msg_type)
        elif msg_type == "status" and _content(entry).get("execution_state") == "idle":
            run.seen.is_running = False
        elif msg_type == "execute_input":
            count = _content(entry).get("execution_count")
            run.seen.execution_count = count if isinstance(count, int) else None
        elif msg_type == "clear_output":
            run.clear(wait=bool(_content(entry).get("wait")))

    def _show(self, run: "_Run", entry: Entry, msg_type: str) -> None:
        before = run.size
        run.clear_if_waiting()
        size = len(entry.parts[3])
        room = self._room(run) + before - run.size + (_ROOM_FOR_ENDS if msg_type in _ENDS else 0)
        if size > room:
            run.cut(entry.number, size)
            return
        content = _content(entry)
        output = read_output(msg_type, content)
        if output is not None:
            run.show(output, size, _display_id(content))

    def _room(self, run: "_Run") -> int:
        return min(self._cell_bytes - run.size, self._total_bytes - self._size)

    def _update_displays(self, entry: Entry, content: dict[str, Any]) -> None:
        name = _display_id(content)
        output = read_output("display_data", content)
        if name is None or output is None:
            return
        for run in self._runs.values():
            size = run.size
            run.update_display(name, output, entry, self._room(run))
            self._size += run.size - size

    def _touched_by(self, gap: Gap) -> "Iterator[_Run]":
        """Yield the runs that may have put out what is missing."""
        for request in self._journal.requests():
            run = self._run_of(request)
            was_over = request.ended is not None and request.ended < gap.first
            if run is not None and run.seen.is_running and request.number < gap.last and not was_over:
                yield run

    def _run_of(self, request: Request) -> "_Run | None":
        """Return the run of a request, made if there is none; None if it has no cell, or its cell a later one."""
        if request.cell is None:
            return None
        run = self._runs.get(request.cell)
        if run is None or (run.seen.request != request.msg_id and run.seen.at <= request.at):
            if len(self._runs) >= _MOST_CELLS:
                self._forget(next(iter(self._runs)))
            self._forget(request.cell)
            run = self._runs[request.cell] = _Run(request)
        return run if run.seen.request == request.msg_id else None

    def _forget(self, cell: str) -> None:
        run = self._runs.pop(cell, None)
        self._size -= run.size if run is not None else 0


def collect(journal: Journal, *, after: int = 0) -> Cells:
    """Return all cells, read at once. Where the journal may be long, advance a Cells step by step instead."""
    cells = Cells(journal, after=after)
    while cells.advance():
        pass
    return cells


class _Run:
    """A run while it is collected; texts of streams are lists of pieces. `size`: bytes of what is shown."""

    def __init__(self, request: Request) -> None:
        place, at = request.number, request.at
        self.seen = CellRun(request.msg_id, request.session, request.code, at, place, place, changed_at=at)
        self.size = 0
        self._displays: dict[str, _Display] = {}
        # What was cut in a row, and the output that says so.
        self._cut: tuple[Gap, Output] | None = None
        self._clear_before_next = False

    def copy(self) -> CellRun:
        outputs = [_joined(output) for output in self.seen.outputs]
        places = {id(output): place for place, output in enumerate(self.seen.outputs)}
        displays = {name: [places[id(output)] for output in shown.outputs] for name, shown in self._displays.items()}
        return replace(self.seen, outputs=outputs, displays=displays, clears_next=self._clear_before_next)

    def show(self, output: Output, size: int, display_id: str | None) -> None:
        if output["output_type"] == "stream":
            self._append_text(output)
            return
        self.seen.outputs.append(output)
        self.size += size
        if display_id is not None:
            display = self._displays.setdefault(display_id, _Display())
            display.outputs.append(output)
            display.size += size

    def update_display(self, name: str, output: Output, entry: Entry, room: int) -> None:
        """Show something else under a display's name, unless that takes more than `room` bytes more."""
        display = self._displays.get(name)
        if display is None:
            return
        more = len(entry.parts[3]) * len(display.outputs) - display.size
        if more > room:
            return
        for shown in display.outputs:
            shown.update(data=output["data"], metadata=output["metadata"])
        display.size += more
        self.size += more
        self.seen.last, self.seen.changed_at = entry.number, entry.at

    def cut(self, number: int, size: int) -> None:
        """Leave a message out, and say so; those in a row are one gap."""
        if self._cut is None:
            self._cut = Gap(number, number, 0, 0), {}
            self.seen.outputs.append(self._cut[1])
        former, output = self._cut
        gap = Gap(former.first, number, (former.messages or 0) + 1, (former.data_bytes or 0) + size)
        output.update(gap_output(gap, kept=True))
        self._cut = gap, output
        self.seen.gap = True

    def lose(self, gap: Gap) -> None:
        """Say that output was lost."""
        self.seen.outputs.append(gap_output(gap, kept=False))
        self.seen.gap = True
        self.seen.last = gap.last

    def clear(self, *, wait: bool) -> None:
        self._clear_before_next = wait
        if not wait:
            self._clear()

    def clear_if_waiting(self) -> None:
        if self._clear_before_next:
            self._clear_before_next = False
            self._clear()

    def _clear(self) -> None:
        self.seen.outputs = []
        self.seen.gap = False
        self.size = 0
        self._displays.clear()
        self._cut = None

    def _append_text(self, output: Output) -> None:
        last = self.seen.outputs[-1] if self.seen.outputs else {}
        if last.get("output_type") != "stream" or last["name"] != output["name"]:
            last = {**output, "text": []}
            self.seen.outputs.append(last)
        self.size += append_text(last["text"], output["text"])


@dataclass(slots=True)
class _Display:
    outputs: list[Output] = field(default_factory=list)
    size: int = 0


def _joined(output: Output) -> Output:
    return {**output, "text": "".join(output["text"])} if output["output_type"] == "stream" else dict(output)


def _content(entry: Entry) -> dict[str, Any]:
    """Return a message's content. Raises ValueError."""
    try:
        content = from_json(entry.parts[3], allow_inf_nan=False)
    except ValueError:
        # Half a surrogate pair, or NaN, which becomes null: no browser could read it in a notebook.
        content = json.loads(entry.parts[3], parse_constant=lambda _: None)
    if not isinstance(content, dict):
        raise ValueError("its content is no object")
    return content


def _display_id(content: dict[str, Any]) -> str | None:
    transient = content.get("transient")
    name = transient.get("display_id") if isinstance(transient, dict) else None
    return name if isinstance(name, str) else None
