"""The shim: one small process per launch that outlives everything else and tells how the session ended.

Forked by the fork server, or started as `python -m studiolo.runtime.shim` with a socket as standard input. It
locks the launch, so that a launch never runs twice; forks the session; waits; ends whatever the session left
behind, being the reaper of all its descendants; and writes `exit.json`. SIGTERM asks it to stop the session.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studiolo.runtime import exits, limits, processes
from studiolo.runtime.deaths import MemoryWatch
from studiolo.runtime.descriptors import redirect_output
from studiolo.runtime.groups import Group
from studiolo.runtime.launch import (
    MAX_REQUEST_BYTES,
    LaunchFiles,
    LaunchRequest,
    RefusedRequestError,
    read_json,
    write_json,
)

Claim = Callable[[LaunchRequest, socket.socket], int | None]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP)
_REQUEST_SECONDS = 5.0
_LOCK_SECONDS = 2.0
# Kernels and terminals that outlive their server get this long before they are killed.
_LEFTOVER_SECONDS = 2.0
# A process in uninterruptible sleep cannot be killed; we do not wait for it for ever.
_KILL_SECONDS = 5.0
_LOG_LIMIT_BYTES = 4 * 1024 * 1024
_LOG_CHECK_SECONDS = 10.0


def serve(connection: socket.socket, *, forks: bool, claim: Claim | None = None) -> int:
    """Read one launch request from `connection` and see it through; returns this process's exit code.

    `forks`: the session is forked from this process, which has JupyterLab imported; otherwise it is exec'd. `claim`:
    hands the request to a child that waits for it and returns its process id, or None if that child has died.
    """
    if claim is None:
        os.setsid()
    os.chdir("/")
    processes.name_process("studiolo-shim")
    try:
        request = LaunchRequest.from_line(_read_line(connection))
        lock = _lock(request)
        if lock is None:
            tell(connection, "started", existing=True, **_existing(request))
            return 0
        redirect_output(LaunchFiles(Path(request.launch_folder)).log)
        Shim(request, connection, forks=forks, claim=claim).run()
    except (RefusedRequestError, OSError) as exc:
        tell(connection, "error", message=str(exc))
        return 1
    return 0


def tell(connection: socket.socket, event: str, **members: Any) -> None:
    """Write one event line to whoever asked for the launch, if it still listens."""
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps({"event": event, **members}).encode() + b"\n")


class Shim:
    """Runs one launch whose lock this process holds."""

    def __init__(
        self, request: LaunchRequest, connection: socket.socket, *, forks: bool, claim: Claim | None = None
    ) -> None:
        self.request = request
        self.connection = connection
        self.forks = forks
        self.claim = claim
        self.files = LaunchFiles(Path(request.launch_folder))
        self.group = Group({})
        self.memory = MemoryWatch(self.group, self.files, None)
        self.memory_seen = exits.Memory(ran_out=None, machine_kills=None)
        self.session_pid = 0
        self.status: int | None = None
        self.max_rss_bytes = 0
        self.stop_deadline: float | None = None
        self.killed_after_grace = False
        self._wake, wake_writer = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_writer, False)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        self._stop_asked = False

    def run(self) -> None:
        """Start the session, wait for its end, clear up and write down how it ended."""
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        processes.become_subreaper()
        before = exits.count_machine_kills()
        self._start_session()
        while self.status is None:
            self._wait(self._next_timeout())
            self._follow_stop()
            self._tell_deaths()
            self._trim_log()
        self._note_memory(before)
        self._write_exit(self._end_leftovers())

    def _start_session(self) -> None:
        me = processes.find_process(os.getpid())
        assert me is not None
        _make_private(Path(self.request.run_folder))
        self.group = limits.make_group(self.request)
        self.memory = MemoryWatch(self.group, self.files, self.request.memory_limit)
        known = {
            "pid": me.pid,
            "start_time": me.start_time,
            "boot_id": processes.boot_id(),
            "groups": dict(self.request.groups),
        }
        # Last of what can fail: a launch that has this file is never started again.
        write_json(self.files.shim, known)
        # Started is said before the fork: the caller need not wait for it.
        tell(self.connection, "started", **known)
        shim_pid, feed = me.pid, None if self.forks else os.pipe()
        # A stop that comes before the child has let go of our handlers would be lost in them.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self.session_pid = (self.claim and self.claim(self.request, self.connection)) or os.fork()
        if self.session_pid == 0:
            self._become_session(shim_pid, feed)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if feed is not None:
            os.close(feed[0])
            with contextlib.suppress(BrokenPipeError), os.fdopen(feed[1], "wb") as pipe:
                pipe.write(self.request.to_line())
        # Only the session needs them any more.
        self.request = replace(self.request, secret="", api_key="")
        session = processes.find_process(self.session_pid)
        write_json(
            self.files.shim,
            known | {"session_pid": self.session_pid, "session_start_time": session.start_time if session else ""},
        )

    def _become_session(self, shim_pid: int, feed: tuple[int, int] | None) -> None:
        """In the forked child: run the server, or exec one that reads its request from `feed`."""
        # Imported here, since a shim that execs its session has no use for Jupyter.
        from studiolo.runtime import session

        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            processes.end_with_parent(shim_pid)
            limits.enter(self.request)
            if feed is None:
                status = session.run(self.request, self.connection)
            else:
                session.execute(self.request, self.connection, request_descriptor=feed[0])
        except OSError as exc:
            print(f"The session's process cannot be made ready: {exc}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)

    def _wait(self, timeout: float) -> None:
        """Sleep until a signal comes or `timeout` seconds are over, then collect the children that ended."""
        select.select([self._wake, *self.memory.readable], [], self.memory.exceptional, max(0.0, timeout))
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 512):
                pass
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.session_pid:
                    self.status = os.waitstatus_to_exitcode(status)
                    # Linux counts kibibytes, macOS bytes.
                    self.max_rss_bytes = usage.ru_maxrss * (1024 if sys.platform == "linux" else 1)

    def _next_timeout(self) -> float:
        timeout = self.memory.next_seconds or _LOG_CHECK_SECONDS
        if self.stop_deadline is None or self.killed_after_grace:
            return timeout
        return min(timeout, self.stop_deadline - time.monotonic())

    def _follow_stop(self) -> None:
        """Pass a stop on to the session; when its grace is over, kill the session."""
        if self._stop_asked:
            self._stop_asked = False
            asked = read_json(self.files.stop) or {}
            deadline = time.monotonic() + float(asked.get("grace_seconds", self.request.grace_seconds))
            # Asking again may shorten the wait, never lengthen it.
            self.stop_deadline = min(deadline, self.stop_deadline or deadline)
            self._signal_session(signal.SIGTERM)
        if self.stop_deadline is not None and time.monotonic() >= self.stop_deadline and self.status is None:
            self.killed_after_grace = True
            self._signal_session(signal.SIGKILL)

    def _signal_session(self, number: signal.Signals) -> None:
        if self.status is None:
            # Not reaped yet, so the id cannot belong to anybody else.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.session_pid, number)

    def _tell_deaths(self) -> None:
        """Tell the platform what of the session was killed for lack of memory while the session goes on."""
        if self.status is None:
            for death in self.memory.look():
                tell(self.connection, "death", **death)

    def _note_memory(self, kills_before: int | None) -> None:
        """Ask the group how the server ended, while there is a group."""
        kills = exits.count_machine_kills()
        death = self.memory.finish(self.session_pid) if self.status == -signal.SIGKILL else None
        self.memory_seen = exits.Memory(
            ran_out=death is not None if self.memory.can_tell else None,
            machine_kills=None if kills is None else kills - (kills_before or 0),
            peak=self.group.read_memory_peak(),
            limit=death["limit"] if death else None,
        )

    def _end_leftovers(self) -> int:
        """End all descendants: ask, then kill; returns how many could not be ended."""
        for number, seconds in ((signal.SIGTERM, _LEFTOVER_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
            deadline = time.monotonic() + seconds
            while left := processes.list_descendants(os.getpid()):
                if time.monotonic() >= deadline:
                    break
                processes.send_signal(left, number)
                self._wait(min(0.25, deadline - time.monotonic()))
        self.group.end()
        return len(processes.list_descendants(os.getpid()))

    def _write_exit(self, stubborn: int) -> None:
        assert self.status is not None
        ending = exits.Ending(
            status=self.status,
            was_ready=self.files.ready.exists(),
            stop_was_asked=self.stop_deadline is not None,
            grace_ran_out=self.killed_after_grace,
            grace_seconds=float((read_json(self.files.stop) or {}).get("grace_seconds", self.request.grace_seconds)),
            memory=self.memory_seen,
        )
        reason, message = exits.explain(ending)
        if stubborn:
            message += f" {stubborn} of its processes could not be ended."
        shutil.rmtree(self.request.run_folder, ignore_errors=True)
        Path(self.request.socket).unlink(missing_ok=True)
        record = {
            "reason": reason,
            "message": message,
            "code": self.status if self.status >= 0 else None,
            "signal": -self.status if self.status < 0 else None,
            "at": datetime.now(UTC).isoformat(),
            "max_rss_bytes": self.max_rss_bytes,
            "memory_peak": self.memory_seen.peak,
            "memory_limit": self.memory_seen.limit,
        }
        write_json(self.files.exit, record, durable=True)
        tell(self.connection, "exited", **record)

    def _trim_log(self) -> None:
        """Keep the log bounded: beyond the limit its first half goes. Writers only append."""
        with contextlib.suppress(OSError):
            if self.files.log.stat().st_size <= _LOG_LIMIT_BYTES:
                return
            with self.files.log.open("r+b") as log:
                log.seek(-_LOG_LIMIT_BYTES // 2, os.SEEK_END)
                kept = log.read(_LOG_LIMIT_BYTES)
                log.seek(0)
                log.truncate()
                log.write(b"[earlier lines were dropped]\n" + kept[kept.find(b"\n") + 1 :])

    def _on_signal(self, number: int, frame: object) -> None:
        # A hang-up of the terminal that the platform was started from is none of the session's business.
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop_asked = True


def _read_line(connection: socket.socket) -> bytes:
    connection.settimeout(_REQUEST_SECONDS)
    received = bytearray()
    while not received.endswith(b"\n"):
        try:
            part = connection.recv(65536)
        except TimeoutError as exc:
            raise RefusedRequestError(f"No whole launch request came within {_REQUEST_SECONDS:g} s.") from exc
        received += part
        if not part or len(received) > MAX_REQUEST_BYTES:
            raise RefusedRequestError("The launch request is cut or too long.")
    connection.settimeout(None)
    return bytes(received)


def _lock(request: LaunchRequest) -> int | None:
    """Return a descriptor that holds the launch's lock, or None when this launch was started before.

    A launch number is used once: one that ended, or whose shim vanished, is not started again.
    """
    files = LaunchFiles(Path(request.launch_folder))
    files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    # Whoever observes holds the lock for an instant too, so that a held one alone proves nothing.
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not files.shim.exists():
                return descriptor
        if files.shim.exists() or files.exit.exists():
            os.close(descriptor)
            return None
        if time.monotonic() > deadline:
            raise RefusedRequestError(f"The lock of launch {request.name} is held by something that is no session.")
        time.sleep(0.005)


def _existing(request: LaunchRequest) -> dict[str, Any]:
    known = read_json(LaunchFiles(Path(request.launch_folder)).shim) or {}
    return {name: known.get(name) for name in ("pid", "start_time", "boot_id")}


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def main() -> int:
    """Detach, then serve the request that comes through the socket on standard input."""
    if os.fork():
        return 0
    return serve(socket.socket(fileno=os.dup(0)), forks=False)


if __name__ == "__main__":
    sys.exit(main())
