"""Pieces of work on foreign content in a process that may be lost: the piece at which it died is told, the rest done.

The kernel keeps the limits of memory; a piece that takes too long is ended from outside.
"""

import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgpack

from studiolo.kit.processes import dies_with_parent

_MEMORY = 1536 * 2**20
_LARGEST_FILE = 4 * 2**30
_PIECE = 1 << 20
# After so many losses the content is out to stop us.
_MOST_LOST = 50


@dataclass(frozen=True, slots=True)
class Work:
    """One piece: `do` returns plain data (as msgpack takes it), within `seconds`."""

    name: str
    do: Callable[[], Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a piece: its `result`, or how it was `lost` (with a `detail` for the log)."""

    work: Work
    result: Any = None
    lost: Literal["memory", "time", "died", "failed", "skipped"] | None = None
    detail: str = ""


def do_all(works: Sequence[Work], *, until: float) -> Iterator[Done]:
    """Do the pieces in order and yield what comes of each; what is left at `until` (monotonic clock) is skipped."""
    next_one, lost = 0, 0
    while next_one < len(works) and lost < _MOST_LOST and time.monotonic() < until:
        for done in _do_in_child(works[next_one:], until):
            next_one += 1
            lost += done.lost is not None
            yield done
    for work in works[next_one:]:
        yield Done(work, lost="skipped")


def _do_in_child(works: Sequence[Work], until: float) -> Iterator[Done]:
    """Yield what one process does: all, or as much as it does until it is lost, with the piece that it was at."""
    reading, writing = os.pipe()
    tie = dies_with_parent()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _serve(works, writing, tie)
    os.close(writing)
    unpacker = msgpack.Unpacker(max_buffer_size=0)
    try:
        for work in works:
            end = min(time.monotonic() + work.seconds, until)
            answer = _next_answer(reading, unpacker, end)
            if answer is None:
                how: Literal["time", "died"] = "time" if time.monotonic() >= end else "died"
                yield Done(work, lost=how)
                return
            yield Done(work, answer.get("result"), answer.get("lost"), answer.get("detail", ""))
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _next_answer(reading: int, unpacker: "msgpack.Unpacker", end: float) -> dict[str, Any] | None:
    while True:
        for answer in unpacker:
            found: dict[str, Any] = answer
            return found
        left = end - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            return None
        piece = os.read(reading, _PIECE)
        if not piece:
            return None
        unpacker.feed(piece)


def _serve(works: Sequence[Work], writing: int, tie: Callable[[], None] | None) -> None:
    """Do the pieces in the child, which ends here whatever happens."""
    try:
        if tie is not None:
            tie()
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with os.fdopen(writing, "wb") as file:
            for work in works:
                file.write(msgpack.packb(_try(work), unicode_errors="replace"))
                file.flush()
    finally:
        os._exit(0)


def _try(work: Work) -> dict[str, Any]:
    try:
        return {"result": work.do()}
    except MemoryError:
        return {"lost": "memory"}
    # The border of libraries that read foreign content: whatever they raise is told to the log, not to the person.
    except Exception as exc:
        return {"lost": "failed", "detail": f"{type(exc).__name__}: {exc}"[:2000]}
