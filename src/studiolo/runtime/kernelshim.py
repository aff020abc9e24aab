"""The shim of a kernel: see `studiolo.runtime.keeping` for what shims do.

Forked by a kernel server, or started as `python -m studiolo.runtime.kernelshim` with a socket as standard input.
Events: `started`, and in any order with it `ready` once the kernel's sockets are bound, with its `pid`, which the
files may not name yet; `exited`.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from studiolo.runtime import accountedkernel, connecting, enclosure, exits, keeping, limits, processes
from studiolo.runtime.enclosure import HeldEnclosure
from studiolo.runtime.groups import Group
from studiolo.runtime.kernelcommands import program
from studiolo.runtime.kernelrequest import KernelRequest
from studiolo.runtime.launch import read_json
from studiolo.runtime.registrations import register

# Becomes the kernel in a process that was forked for it, or returns None where the kernel is to be exec'd.
Become = Callable[[KernelRequest, socket.socket], int]
Claim = Callable[[KernelRequest, socket.socket], int | None]

_UMASK = 0o022
# An exec'd kernel cannot tell when it has bound its sockets, so it is looked at: often, then less so.
_EAGER_SECONDS = 3.0
_EAGER_PAUSE_SECONDS = 0.01
_PAUSE_SECONDS = 0.2
# By then whoever waits for the kernel has it, and nobody minds the work.
_REST_AFTER_SECONDS = 0.5


def serve(connection: socket.socket, *, become: Become | None = None, claim: Claim | None = None) -> int:
    """Read one request from `connection` and see it through; returns this process's exit code.

    `become` runs the kernel in a fork of this process; None: it is exec'd. `claim`: hands the request to a child that
    waits for it and returns its process id, or None if that child has died.
    """

    def keep(request: KernelRequest) -> KernelShim:
        return KernelShim(request, connection, become=become, claim=claim)

    return keeping.serve(connection, KernelRequest.from_line, keep, detach=claim is None)


def rehearse(folder: Path, can_serve: Callable[[KernelRequest], bool]) -> None:
    """Begin a launch below `folder` that never is, see `keeping.rehearse`. Raises OSError."""
    request = KernelRequest(
        kernel_id="",
        kernel_folder=str(folder / "kernel"),
        run_folder=str(folder / "run"),
        argv=["python", "-m", "ipykernel_launcher", "-f", "connection.json"],
        environment=sys.prefix,
        folder="/",
        grace_seconds=0.0,
        variables=dict(os.environ),
    )
    keeping.make_private(Path(request.run_folder))
    connecting.write_connection(request.run_files, connecting.new_connection(request.run_files, ""))

    def claim(request: KernelRequest, connection: socket.socket) -> int | None:
        return os.getpid() if can_serve(request) else None

    def keep(request: KernelRequest, connection: socket.socket) -> KernelShim:
        return KernelShim(request, connection, become=None, claim=claim)

    keeping.rehearse(request.to_line(), KernelRequest.from_line, keep)


class KernelShim(keeping.Keeper):
    """Runs one launch of a kernel."""

    child = "kernel"
    about = exits.KERNEL

    def __init__(
        self, request: KernelRequest, connection: socket.socket, *, become: Become | None, claim: Claim | None
    ) -> None:
        super().__init__(request, connection)
        self.request = request
        self.become = become
        self.claim = claim
        self.owns_group = request.owns_group
        self.is_ready = become is not None
        self._claimed: int | None = None
        self._enclosure: HeldEnclosure | None = None
        self._started_at = time.monotonic()

    def prepare(self) -> None:
        """See Keeper.prepare."""
        keeping.make_private(Path(self.request.run_folder))
        if self.request.account:
            accountedkernel.prepare(self.request, binds_itself=self.become is None)
        if self.request.owns_group:
            self.group = limits.make_group(self.request)
        elif self.request.group:
            self.group = Group.of(self.request.groups, self.request.group)
        if self.request.enclosure:
            self._enclosure = HeldEnclosure(self.request.enclosure, self.request)
            self.request = replace(self.request, namespaces=self._enclosure.make())
        request = self.request
        self.known |= {"group": request.group, "owns_group": request.owns_group, "register": request.register}
        # Before the kernel exists: a session that ends just now has taken the folder away.
        self._register(0)
        # As soon as nothing is missing: a spare becomes the kernel while we write down that it does.
        self._claimed = self.claim(request, self.connection) if self.claim else None

    def fork(self, shim_pid: int) -> int:
        """See Keeper.fork."""
        if self._enclosure is not None:
            self._enclosure.keep_relay()
        pid = self._claimed or os.fork()
        if pid == 0:
            self._become_kernel(shim_pid)
        self._register(pid)
        return pid

    def look(self, *, seconds: float) -> float:
        """See Keeper.look: finds out whether an exec'd kernel has bound its sockets."""
        if self.is_ready:
            return min(seconds, self._rest(seconds))
        if self._is_bound():
            self.is_ready = True
            self.files.ready.touch()
            keeping.tell(self.connection, "ready", pid=self.pid)
            return seconds
        is_eager = time.monotonic() - self._started_at < _EAGER_SECONDS
        return min(seconds, _EAGER_PAUSE_SECONDS if is_eager else _PAUSE_SECONDS)

    def _is_bound(self) -> bool:
        if self.request.account:
            return accountedkernel.take_sockets(self.request)
        connection = read_json(self.request.run_files.connection)
        return connection is not None and connecting.is_bound(connection)

    def end_others(self) -> None:
        """See Keeper.end_others."""

    def clear_up(self) -> None:
        """See Keeper.clear_up."""
        shutil.rmtree(self.request.run_folder, ignore_errors=True)
        # The session's shim looks for the one that was killed, if it was for lack of memory; a later one writes anew.
        was_killed = self.status == -signal.SIGKILL and self.stop_deadline is None
        if self.request.register and not was_killed:
            with contextlib.suppress(OSError):
                Path(self.request.register).unlink(missing_ok=True)

    def _rest(self, seconds: float) -> float:
        """Become `studiolo.runtime.vigil` once the kernel has run for a while; until then, return how long that is."""
        if self.become is None or sys.platform != "linux":
            return seconds
        if (left := self._started_at + _REST_AFTER_SECONDS - time.monotonic()) > 0:
            return left
        signal.pthread_sigmask(signal.SIG_BLOCK, keeping.SIGNALS)
        if self.is_quiet():
            # Where the environment is gone by now it goes on as it is.
            with contextlib.suppress(OSError):
                _execute_vigil(self)
            self.become = None
        signal.pthread_sigmask(signal.SIG_UNBLOCK, keeping.SIGNALS)
        return 0.0

    def _register(self, pid: int) -> None:
        if self.request.register:
            register(Path(self.request.register), os.getpid(), pid, self.request.path)

    def _become_kernel(self, shim_pid: int) -> None:
        """In the forked child: be the kernel, or exec it."""
        status = 1
        try:
            keeping.become_child(shim_pid)
            os.setsid()
            enter(self.request)
            if self.become is None:
                _execute(self.request)
            else:
                status = self.become(self.request, self.connection)
        except OSError as exc:
            print(f"The kernel cannot be started: {exc}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)


def go_on(state: int, *, stop_asked: bool) -> int:
    """See the launch through whose state `_execute_vigil` left in a descriptor; signals are blocked. Returns 0."""
    with open(state, "rb") as file:
        file.seek(0)
        left = json.load(file)
    for descriptor in left["events"]:
        os.close(descriptor)
    request = KernelRequest.from_line(left["request"].encode())
    shim = KernelShim(request, socket.socket(fileno=left["connection"]), become=None, claim=None)
    shim.lock, shim.pid, shim.known, shim.kills = left["lock"], left["pid"], left["known"], left["kills"]
    shim.group = Group.of(request.groups, request.group) if request.group else shim.group
    shim.is_ready = True
    shim.resume(stop_asked=stop_asked, kills_told=left["told"])
    return 0


def _execute_vigil(shim: KernelShim) -> None:
    memory = shim.memory
    state: dict[str, Any] = {
        "request": shim.request.to_line().decode(),
        "connection": shim.connection.fileno(),
        "lock": shim.lock,
        "pid": shim.pid,
        "known": shim.known,
        "kills": shim.kills,
        "told": memory.told,
        "events": [*memory.readable, *memory.exceptional],
    }
    # Not in the arguments: the variables of a kernel are nobody else's to read.
    kept = os.memfd_create("shim", 0)
    try:
        os.write(kept, json.dumps(state).encode())
        for descriptor in (shim.connection.fileno(), shim.lock, *state["events"]):
            os.set_inheritable(descriptor, True)
        readable, exceptional = (",".join(map(str, numbers)) for numbers in (memory.readable, memory.exceptional))
        argv = [sys.executable, "-I", "-S", *program("vigil", str(kept), readable, exceptional)]
        os.execv(sys.executable, argv)  # noqa: S606
    finally:
        os.close(kept)


def enter(request: KernelRequest) -> None:
    """Put this process where the kernel shall run: limits, umask, enclosure, folder (for an account, once it has it).

    Raises OSError.
    """
    limits.enter(request)
    processes.offer_to_oom_killer(processes.WORK_OOM_SCORE)
    os.umask(_UMASK)
    enclosure.enter(request.namespaces, (request.kernel_folder, request.run_folder))
    if not request.account:
        os.chdir(request.folder)


def _execute(request: KernelRequest) -> None:
    if request.account:
        accountedkernel.become_account(request)
        request = replace(request, argv=accountedkernel.own_words(request))
    # As subprocess does: Python ignores them, and what is ignored stays so in the next program.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(request.argv[0], request.argv, dict(request.variables))  # noqa: S606


def main() -> int:
    """Detach, then serve the request that comes through the socket on standard input."""
    if os.fork():
        return 0
    return serve(socket.socket(fileno=os.dup(0)))


if __name__ == "__main__":
    sys.exit(main())
