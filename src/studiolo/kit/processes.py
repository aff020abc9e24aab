"""Processes by more than a pid, and what ties a child to its parent."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import psutil

_LOOK_SECONDS = 0.01
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A pid and when that process began (seconds since the epoch), so that a reused pid is another process."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the identity of a process, or None if there is none."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def is_alive(self) -> bool:
        """Tell whether it runs still; a zombie does not."""
        return self._process() is not None

    def kill_group(self, *, wait_seconds: float) -> bool:
        """Kill this leader of a process group with its group, and wait; tell whether it is gone."""
        if not self.is_alive():
            return True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + wait_seconds
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return not self.is_alive()

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            # The clock behind the start time may have been set since; it ticks in hundredths.
            same = abs(process.create_time() - self.started) < 1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


def become_subreaper() -> None:
    """Make orphans below this process its children (Linux); elsewhere init takes them."""
    if sys.platform == "linux":
        _prctl()(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def dies_with_parent() -> Callable[[], None] | None:
    """Return what a child runs before exec so that it is killed when this process ends (Linux), else None.

    The kernel ties it to the thread that forks: call fork from a thread that lives as long as the process.
    """
    if sys.platform != "linux":
        return None
    prctl, parent = _prctl(), os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return tie


def reap(known: Sequence[int] = ()) -> dict[int, int]:
    """Collect all children that ended and return exit codes by pid (negative: the signal), orphans included."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            # Somebody else collected them (a debugger does): their exit is not known.
            return {**{pid: -1 for pid in known if not psutil.pid_exists(pid)}, **ended}
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def _prctl() -> Callable[..., int]:
    function: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    return function
