"""What the files and processes of a launch say about it, and how to end what its shim left behind."""

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studiolo.engines.base import Death, Exit, Observation, Phase
from studiolo.runtime import processes
from studiolo.runtime.groups import Group
from studiolo.runtime.launch import MARKER, LaunchFiles, read_json, write_json

# Beyond its grace a shim takes at most seven seconds to end what is left; then something holds it.
_OVERDUE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch as it lies on disk."""

    name: str
    files: LaunchFiles
    sockets: Path

    @property
    def socket(self) -> Path:
        """Where the session's server listens."""
        return self.sockets / f"{self.name}.sock"

    @property
    def run_folder(self) -> Path:
        """Private folder of the kernels' sockets and the session's key."""
        return self.sockets / self.name

    def observe(self) -> Observation | None:
        """Return what is seen, or None when the shim is gone without a word and `bury` must be asked.

        Takes well under a millisecond.
        """
        record = read_json(self.files.exit)
        if record is None:
            if self.is_held():
                if self.files.ready.exists():
                    return Observation(Phase.READY, upstream=f"unix/{self.socket}")
                return Observation(Phase.STARTING)
            # The shim writes first and dies then.
            record = read_json(self.files.exit)
        return Observation(Phase.ENDED, exit=_read_exit(record)) if record else None

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

    def find_shim(self) -> processes.Process | None:
        """Return the living shim."""
        known = read_json(self.files.shim)
        if known is None or known["boot_id"] != processes.boot_id():
            return None
        found = processes.find_process(known["pid"])
        return found if found and found.start_time == known["start_time"] else None

    def group(self) -> Group:
        """Return the launch's control group as its shim recorded it, which may be none."""
        return Group.of((read_json(self.files.shim) or {}).get("groups", {}), self.name)

    def list_deaths(self) -> list[Death]:
        """Return what of the launch was killed for lack of memory, oldest first."""
        return [_read_death(record) for record in (read_json(self.files.deaths) or {}).get("deaths", [])]

    def last_death(self) -> int:
        """Return something that changes with each death that is told."""
        try:
            return self.files.deaths.stat().st_mtime_ns
        except OSError:
            return 0

    def ask_to_stop(self, grace_seconds: float) -> bool:
        """Have the shim stop the session; returns False when it is overdue since an earlier call."""
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
                self._end_processes(known)
            shutil.rmtree(self.run_folder, ignore_errors=True)
            self.socket.unlink(missing_ok=True)
            reason, message = self._explain(same_boot=same_boot)
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

    def _end_processes(self, known: dict[str, Any]) -> None:
        """Kill the session and all that carry the launch's mark: nobody is left to wait for them."""
        for _ in range(10):
            left = processes.list_marked(MARKER, self.name)
            session = processes.find_process(known.get("session_pid") or 0)
            if session is not None and session.start_time == known.get("session_start_time"):
                # A forked server's own environment is not in the process table, so the mark does not find it.
                left += [session, *processes.list_descendants(session.pid)]
            if not left:
                return
            processes.send_signal(left, signal.SIGKILL)
            time.sleep(0.02)

    def _explain(self, *, same_boot: bool) -> tuple[str, str]:
        if self.files.stop.exists():
            return "stopped", "The session was stopped; its processes had to be killed from outside."
        if not same_boot:
            return "vanished", "The machine was restarted while the session ran."
        return "vanished", (
            "The process that looked after the session was killed, and the session ended with it. "
            "What was not saved is lost."
        )


def _read_exit(record: dict[str, Any]) -> Exit:
    return Exit(
        reason=record["reason"],
        message=record["message"],
        at=datetime.fromisoformat(record["at"]),
        code=record.get("code"),
        signal=record.get("signal"),
        memory_peak=record.get("memory_peak"),
        memory_limit=record.get("memory_limit"),
    )


def _read_death(record: dict[str, Any]) -> Death:
    return Death(
        at=datetime.fromisoformat(record["at"]),
        what=record["what"],
        peak=record["peak"],
        limit=record["limit"],
        pid=record["pid"],
        name=record["name"],
    )
