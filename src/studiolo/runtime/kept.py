"""A launch from outside: what its files and processes say about it, and how to end what its shim left behind."""

import contextlib
import fcntl
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studiolo.runtime import processes
from studiolo.runtime.groups import Group
from studiolo.runtime.launch import LaunchFiles, read_json, write_json

# Beyond its grace a shim takes at most seven seconds to end what is left; then something holds it.
_OVERDUE_SECONDS = 15.0


class Kept(ABC):
    """One launch as it lies on disk. `run_folder` is private to it.

    `child`: what its process is called in `shim.json`.
    """

    child: str

    def __init__(self, files: LaunchFiles, run_folder: Path) -> None:
        self.files = files
        self.run_folder = run_folder

    @abstractmethod
    def group(self) -> Group:
        """Return the control group that goes with the launch, which may be none."""

    @abstractmethod
    def list_marked(self) -> list[processes.Process]:
        """Return the processes that carry the launch's mark."""

    @abstractmethod
    def clear_up(self) -> None:
        """Remove what the launch had besides its files, once all of it has ended."""

    @abstractmethod
    def explain_vanished(self, *, same_boot: bool) -> str:
        """Say what happened when the shim is gone without a word."""

    def is_held(self) -> bool:
        """Tell whether the shim lives: it alone holds the lock, which goes with the process."""
        try:
            descriptor = os.open(self.files.lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def read_exit(self) -> dict[str, Any] | None:
        """Return what `exit.json` says."""
        return read_json(self.files.exit)

    def find_shim(self) -> processes.Process | None:
        """Return the living shim."""
        return self._find("pid", "start_time")

    def find_child(self) -> processes.Process | None:
        """Return the living process that the shim keeps."""
        return self._find(f"{self.child}_pid", f"{self.child}_start_time")

    def open_pidfd(self) -> int | None:
        """Return a descriptor that turns readable when the shim ends; None without a shim, or outside Linux."""
        shim = self.find_shim()
        if shim is None or not hasattr(os, "pidfd_open"):
            return None
        try:
            descriptor = os.pidfd_open(shim.pid)
        except OSError:
            return None
        # Between looking and opening the id may have gone to another process.
        if self.find_shim() is None:
            os.close(descriptor)
            return None
        return descriptor

    def ask_to_stop(self, grace_seconds: float) -> bool:
        """Have the shim stop its child; returns False when it is overdue since an earlier call."""
        asked = read_json(self.files.stop)
        now = time.time()
        if asked is not None and now > asked["at"] + asked["grace_seconds"] + _OVERDUE_SECONDS:
            return False
        if asked is None or now + grace_seconds < asked["at"] + asked["grace_seconds"]:
            write_json(self.files.stop, {"grace_seconds": grace_seconds, "at": now})
        shim = self.find_shim()
        if shim is not None:
            processes.send_signal([shim], signal.SIGTERM)
        return True

    def kill(self) -> None:
        """End everything, also a shim that does not do its work. Reads the process table."""
        shim = self.find_shim()
        if shim is not None:
            doomed = processes.list_descendants(shim.pid)
            processes.send_signal([shim, *doomed], signal.SIGKILL)
        self.bury()

    def bury(self) -> None:
        """End what a vanished shim left behind and write the exit that it could not. Reads the process table.

        Does nothing while the shim lives.
        """
        with self._lock() as locked:
            if not locked or self.files.exit.exists():
                return
            known = read_json(self.files.shim) or {}
            same_boot = known.get("boot_id") == processes.boot_id()
            if same_boot:
                self.group().end()
                self._end_processes()
            self.clear_up()
            reason, message = "vanished", self.explain_vanished(same_boot=same_boot)
            if self.files.stop.exists():
                reason, message = (
                    "stopped",
                    f"The {self.child} was stopped; its processes had to be killed from outside.",
                )
            now = datetime.now(UTC).isoformat()
            write_json(self.files.exit, {"reason": reason, "message": message, "at": now}, durable=True)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[bool]:
        try:
            descriptor = os.open(self.files.lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            yield False
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)

    def _find(self, pid: str, start_time: str) -> processes.Process | None:
        known = read_json(self.files.shim)
        if known is None or known.get("boot_id") != processes.boot_id():
            return None
        found = processes.find_process(known.get(pid) or 0)
        return found if found and found.start_time == known.get(start_time) else None

    def _end_processes(self) -> None:
        """Kill the child and all that carry the launch's mark: nobody is left to wait for them."""
        for _ in range(10):
            left = self.list_marked()
            # A forked child's own environment is not in the process table, so the mark does not find it.
            if (child := self.find_child()) is not None:
                left += [child, *processes.list_descendants(child.pid)]
            if not left:
                return
            processes.send_signal(left, signal.SIGKILL)
            time.sleep(0.02)
