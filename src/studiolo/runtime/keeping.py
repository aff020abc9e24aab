"""Keeping a process: what shims of sessions and of kernels have in common.

A shim is one small process per launch that outlives everything else and tells how the launch ended. It locks the
launch, so that a launch never runs twice; forks its child; waits; ends whatever that left behind, being the reaper of
all its descendants; and writes `exit.json`. SIGTERM asks it to stop the child.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from studiolo.runtime import exits, limits, processes, vigil
from studiolo.runtime.deaths import MemoryWatch
from studiolo.runtime.descriptors import redirect_output
from studiolo.runtime.groups import Group
from studiolo.runtime.launch import MAX_REQUEST_BYTES, LaunchFiles, RefusedRequestError, read_json, write_json

SIGNALS = tuple(map(signal.Signals, vigil.SIGNALS))
_ENDED_BY_SIGTERM = 128 + signal.SIGTERM
_REQUEST_SECONDS = 5.0
_LOCK_SECONDS = 2.0
# What outlives its parent gets this long before it is killed.
_LEFTOVER_SECONDS = 2.0
# A process in uninterruptible sleep cannot be killed; we do not wait for it for ever.
_KILL_SECONDS = 5.0
_LOG_CHECK_SECONDS = 10.0


class Request(limits.Limited, Protocol):
    """What every launch is told, whatever runs in it."""

    @property
    def files(self) -> LaunchFiles:
        """Where the launch's files are."""
        ...

    @property
    def grace_seconds(self) -> float:
        """How long a stop waits unless it says something else."""
        ...


R = TypeVar("R", bound=Request)


def serve(connection: socket.socket, read: Callable[[bytes], R], keep: Callable[[R], "Keeper"], *, detach: bool) -> int:
    """Read one launch request from `connection` and see it through; returns this process's exit code.

    `detach`: leave the session of processes that started us.
    """
    if detach:
        os.setsid()
    os.chdir("/")
    processes.name_process("studiolo-shim")
    try:
        request = read(_read_line(connection))
        if not see_through(request, keep):
            tell(connection, "started", existing=True, **_existing(request))
    except (RefusedRequestError, OSError) as exc:
        tell(connection, "error", message=str(exc))
        return 1
    return 0


def see_through(request: R, keep: Callable[[R], "Keeper"]) -> bool:
    """Run the launch to its end; False when it was started before. Raises RefusedRequestError, OSError."""
    lock = _lock(request)
    if lock is None:
        return False
    redirect_output(request.files.log)
    keeper = keep(request)
    keeper.lock = lock
    keeper.run()
    return True


def rehearse(line: bytes, read: Callable[[bytes], R], keep: Callable[[R, socket.socket], "Keeper"]) -> None:
    """Do what `serve` does with a request until it has a child, in a process that waits for its launch.

    In a fork each page of memory is shared until it is first written, which costs some microseconds; eight hundred are
    for a launch. The request's files are nobody's. Raises RefusedRequestError, OSError.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(line)
        request = read(_read_line(ours))
        lock = _lock(request)
        keep(request, ours).rehearse()
        if lock is not None:
            os.close(lock)


def tell(connection: socket.socket, event: str, **members: Any) -> None:
    """Write one event line to whoever asked for the launch, if it still listens."""
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps({"event": event, **members}).encode() + b"\n")


class Keeper(ABC):
    """Sees one launch through whose lock this process holds. Subclasses say what to start and what else to end.

    `child`: what the process is called in `shim.json`. `about`: how its end is told.
    `owns_group`: whether the control group goes with the launch.
    """

    child: str
    about: exits.Subject
    owns_group = True

    def __init__(self, request: Request, connection: socket.socket) -> None:
        self.limited = request
        self.connection = connection
        self.files = request.files
        self.group = Group({})
        self.registered: Path | None = None
        self.memory = MemoryWatch(self.group, self.files, None)
        self.pid = 0
        self.status: int | None = None
        self.max_rss_bytes = 0
        self.stop_deadline: float | None = None
        self.killed_after_grace = False
        self.known: dict[str, Any] = {}
        # Holds the launch's lock for as long as this process lives.
        self.lock = -1
        # How often the whole machine had killed for lack of memory when the child was started.
        self.kills: int | None = None
        self._wake, wake_writer = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_writer, False)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        self._stop_asked = False

    @abstractmethod
    def prepare(self) -> None:
        """Make what the launch needs, its control group too; raises OSError."""

    @abstractmethod
    def fork(self, shim_pid: int) -> int:
        """Start the child, with our signals blocked; returns its process id. Does not return in the child."""

    @abstractmethod
    def end_others(self) -> None:
        """End what belongs to the launch and neither descends from this process nor is in its group."""

    @abstractmethod
    def clear_up(self) -> None:
        """Remove what the launch had besides its files."""

    def look(self, *, seconds: float) -> float:
        """Called each time something may have changed; returns in how many seconds at most to call again."""
        return seconds

    def goes_on(self, ending: exits.Ending) -> bool:
        """Tell whether the child is started once more after this end."""
        return False

    def run(self) -> None:
        """Start the child, wait for its end, clear up and write down how it ended."""
        self._hear_signals()
        processes.become_subreaper()
        self._prepare()
        while True:
            self.kills = exits.count_machine_kills()
            self._start_child()
            self._look_after()
            ending = self._observe_ending()
            if not self.goes_on(ending):
                break
            self.end_descendants()
            self.status = None
        self._end(ending)

    def rehearse(self) -> None:
        """Do what `run` does until there is a child, and leave nothing of it in this process. Raises OSError."""
        self._hear_signals()
        try:
            self._prepare()
            self.kills = exits.count_machine_kills()
            self._start_child()
        finally:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            os.close(signal.set_wakeup_fd(-1))
            os.close(self._wake)

    def is_quiet(self) -> bool:
        """Tell whether nothing has happened that is not dealt with."""
        is_stopping = self._stop_asked or self.stop_deadline is not None
        return not (is_stopping or self.memory.next_seconds or select.select([self._wake], [], [], 0)[0])

    def resume(self, *, stop_asked: bool, kills_told: int) -> None:
        """Go on with a child that runs, in a program that has just begun: signals are blocked until now."""
        self._hear_signals()
        self._stop_asked = stop_asked
        self._watch_memory(kills_told)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self.wait(0)
        # A stop that was heard while it rested waits for nothing else.
        self._follow_stop()
        self._look_after()
        self._end(self._observe_ending())

    def _hear_signals(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def _end(self, ending: exits.Ending) -> None:
        self.end_others()
        stubborn = self.end_descendants()
        if self.owns_group:
            self.group.end()
        self._write_exit(ending, stubborn)

    def note(self, **members: Any) -> None:
        """Add to what `shim.json` says. Raises OSError."""
        self.known |= members
        write_json(self.files.shim, self.known)

    def wait(self, timeout: float) -> None:
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
                if pid == self.pid:
                    self.status = os.waitstatus_to_exitcode(status)
                    # Linux counts kibibytes, macOS bytes.
                    self.max_rss_bytes = usage.ru_maxrss * (1024 if sys.platform == "linux" else 1)

    def end_descendants(self) -> int:
        """End all descendants: ask, then kill; returns how many could not be ended."""
        for number, seconds in ((signal.SIGTERM, _LEFTOVER_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
            deadline = time.monotonic() + seconds
            while left := self.list_left():
                if time.monotonic() >= deadline:
                    break
                processes.send_signal(left, number)
                self.wait(min(0.25, deadline - time.monotonic()))
        return len(self.list_left())

    def list_left(self) -> list[processes.Process]:
        """Return what is to end with the child: all descendants."""
        return processes.list_descendants(os.getpid())

    def _prepare(self) -> None:
        me = processes.find_process(os.getpid())
        assert me is not None
        self.prepare()
        self._watch_memory()
        groups = dict(self.limited.groups)
        # Last of what can fail: a launch that has this file is never started again.
        self.note(pid=me.pid, start_time=me.start_time, boot_id=processes.boot_id(), groups=groups)
        # Started is said before the fork: the caller need not wait for it.
        tell(self.connection, "started", **self.known)

    def _watch_memory(self, told: int | None = None) -> None:
        self.memory = MemoryWatch(self.group, self.files, self.limited.memory_limit, self.registered, told=told)

    def _start_child(self) -> None:
        # A stop that comes before the child has let go of our handlers would be lost in them.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self.pid = self.fork(self.known["pid"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        started = processes.find_process(self.pid)
        start_time = started.start_time if started else ""
        self.note(**{f"{self.child}_pid": self.pid, f"{self.child}_start_time": start_time})

    def _look_after(self) -> None:
        while self.status is None:
            timeout = self.look(seconds=self.memory.next_seconds or _LOG_CHECK_SECONDS)
            if self.stop_deadline is not None and not self.killed_after_grace:
                timeout = min(timeout, self.stop_deadline - time.monotonic())
            self.wait(timeout)
            self._follow_stop()
            self._tell_deaths()
            self._trim_log()

    def _follow_stop(self) -> None:
        """Pass a stop on to the child; when its grace is over, kill it."""
        if self._stop_asked:
            self._stop_asked = False
            deadline = time.monotonic() + self._grace_seconds()
            # Asking again may shorten the wait, never lengthen it.
            self.stop_deadline = min(deadline, self.stop_deadline or deadline)
            self._signal_child(signal.SIGTERM)
        if self.stop_deadline is not None and time.monotonic() >= self.stop_deadline and self.status is None:
            self.killed_after_grace = True
            self._signal_child(signal.SIGKILL)

    def _grace_seconds(self) -> float:
        asked: Mapping[str, Any] = read_json(self.files.stop) or {}
        return float(asked.get("grace_seconds", self.limited.grace_seconds))

    def _signal_child(self, number: signal.Signals) -> None:
        if self.status is None:
            # Not reaped yet, so the id cannot belong to anybody else.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _tell_deaths(self) -> None:
        """Tell the platform what of the launch was killed for lack of memory while the child goes on."""
        if self.status is None:
            for death in self.memory.look():
                tell(self.connection, "death", **death)

    def _observe_ending(self) -> exits.Ending:
        """Say how the child ended; asks the group while there is one."""
        assert self.status is not None
        kills = exits.count_machine_kills()
        death = self.memory.finish(self.pid) if self.status == -signal.SIGKILL else None
        memory = exits.Memory(
            ran_out=death is not None if self.memory.can_tell else None,
            machine_kills=None if kills is None else kills - (self.kills or 0),
            peak=self.group.read_memory_peak(),
            limit=death["limit"] if death else None,
        )
        return exits.Ending(
            status=self.status,
            was_ready=self.files.ready.exists(),
            stop_was_asked=self.stop_deadline is not None,
            grace_ran_out=self.killed_after_grace,
            grace_seconds=self._grace_seconds(),
            memory=memory,
        )

    def _write_exit(self, ending: exits.Ending, stubborn: int) -> None:
        reason, message = exits.explain(ending, self.about)
        if stubborn:
            message += f" {stubborn} of its processes could not be ended."
        self.clear_up()
        # A server that ended because it was asked to has done so in order.
        status = 0 if ending.stop_was_asked and ending.status == _ENDED_BY_SIGTERM else ending.status
        record = {
            "reason": reason,
            "message": message,
            "code": status if status >= 0 else None,
            "signal": -ending.status if ending.status < 0 else None,
            "at": datetime.now(UTC).isoformat(),
            "max_rss_bytes": self.max_rss_bytes,
            "memory_peak": ending.memory.peak,
            "memory_limit": ending.memory.limit,
        }
        write_json(self.files.exit, record, durable=True)
        tell(self.connection, "exited", **record)

    def _trim_log(self) -> None:
        """Keep the log bounded: beyond the limit its first half goes. Writers only append."""
        with contextlib.suppress(OSError):
            if self.files.log.stat().st_size <= vigil.LOG_LIMIT_BYTES:
                return
            with self.files.log.open("r+b") as log:
                log.seek(-vigil.LOG_LIMIT_BYTES // 2, os.SEEK_END)
                kept = log.read(vigil.LOG_LIMIT_BYTES)
                log.seek(0)
                log.truncate()
                log.write(b"[earlier lines were dropped]\n" + kept[kept.find(b"\n") + 1 :])

    def _on_signal(self, number: int, frame: object) -> None:
        # A hang-up of the terminal that the platform was started from is no business of the launch.
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop_asked = True


def become_child(shim_pid: int) -> None:
    """In the forked child: let go of the shim's signal handlers, and end with the shim."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    processes.end_with_parent(shim_pid)


def make_private(folder: Path) -> None:
    """Make a folder that nobody else can look into. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


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


def _lock(request: Request) -> int | None:
    """Return a descriptor that holds the launch's lock, or None when this launch was started before.

    A launch is started once: one that ended, or whose shim vanished, is not started again.
    """
    files = request.files
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
            raise RefusedRequestError(f"The lock of launch {request.name} is held by something that is no shim.")
        time.sleep(0.005)


def _existing(request: Request) -> dict[str, Any]:
    known = read_json(request.files.shim) or {}
    return {name: known.get(name) for name in ("pid", "start_time", "boot_id")}
