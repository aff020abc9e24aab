"""What a launch's processes use where no control group counts it: sums over the process table."""

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
# One reading of the table serves all sessions that are asked for in a row.
_FRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sums:
    """`cpu_seconds` includes ended processes that somebody waited for; `memory` in bytes; `tasks` with threads.

    Memory that a fork shares with its parent counts in both, so the sum is at least what is used.
    """

    cpu_seconds: float
    memory: int
    tasks: int


@dataclass(frozen=True, slots=True)
class _Entry:
    parent: int
    ticks: int
    tasks: int
    pages: int


class ProcessTable:
    """The machine's processes, read at most once a second. Linux only: elsewhere it is empty."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._entries: dict[int, _Entry] = {}
        self._children: dict[int, list[int]] = {}

    def sum_below(self, pid: int) -> Sums | None:
        """Sum up all descendants of `pid`, a launch's shim; None when it is not there. Takes some ms when it reads."""
        with self._lock:
            if time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._read()
            entries, children = self._entries, self._children
        if pid not in entries:
            return None
        below, level = list[_Entry](), children.get(pid, [])
        while level:
            below += [entries[child] for child in level]
            level = [grandchild for child in level for grandchild in children.get(child, [])]
        # The shim waits for orphans, so their time is in its own; the little that it needs itself is not told apart.
        ticks = entries[pid].ticks + sum(entry.ticks for entry in below)
        pages = sum(entry.pages for entry in below)
        return Sums(
            cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
            memory=pages * os.sysconf("SC_PAGE_SIZE"),
            tasks=sum(entry.tasks for entry in below),
        )

    def _read(self) -> None:
        entries: dict[int, _Entry] = {}
        children: dict[int, list[int]] = {}
        for folder in self._proc.iterdir() if self._proc.is_dir() else ():
            # Not all are processes, and one may end while it is read.
            with contextlib.suppress(OSError, ValueError):
                pid = int(folder.name)
                entry = entries[pid] = _read_entry(folder)
                children.setdefault(entry.parent, []).append(pid)
        self._entries, self._children, self._read_at = entries, children, time.monotonic()


def _read_entry(folder: Path) -> _Entry:
    """Read /proc/<pid>/stat from its third member on (state, parent, …) and statm. Source: proc(5)."""
    stat = (folder / "stat").read_text().rpartition(")")[2].split()
    resident, shared = map(int, (folder / "statm").read_text().split()[1:3])
    return _Entry(
        parent=int(stat[1]),
        # utime, stime and those of the children that were waited for.
        ticks=sum(map(int, stat[11:15])),
        tasks=int(stat[17]),
        pages=resident - shared,
    )
