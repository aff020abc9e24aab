"""A session elsewhere: in the foreground of a container, a batch job or a pod, alone or beside others.

`python -m studiolo.runtime.workload FOLDER` reads `FOLDER/request.json` (a LaunchRequest, removed as it is read) and is
the launch's shim from then on (see `studiolo.runtime.shim`), as process 1 or not, as root or not. SIGTERM is a stop
with the request's grace. Ends with the session's own status, 128 and the signal's number when a signal ended it.

What this program finds in its own environment holds in the session too, where the request does not say otherwise;
limits are those that are here. The interpreter must find our package by itself: PYTHONPATH is not handed on.
"""

import contextlib
import os
import select
import signal
import socket
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from studiolo.runtime import keeping, processes, rebuild
from studiolo.runtime.groups import Group
from studiolo.runtime.kernelhost import KernelHost, NoHostError
from studiolo.runtime.launch import LaunchFiles, LaunchRequest, RefusedRequestError, read_json, write_json
from studiolo.runtime.shim import Claim, Shim
from studiolo.runtime.toolfiles import write_netrc

# As sysexits.h has them: no request; one that cannot be used; a launch that ran here before; no folders or processes.
MISSING, UNUSABLE, RAN_BEFORE, NO_MEANS = os.EX_NOINPUT, os.EX_DATAERR, os.EX_UNAVAILABLE, os.EX_OSERR
_ENDED_BY_SIGNAL = 128
_PRINT_SECONDS = 0.25
_MEMORY_SECONDS = 1.0
_LAST_PRINT_SECONDS = 2.0


class WorkloadError(Exception):
    """The launch cannot run; `status` is this program's then."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Workload(Shim):
    """Runs one launch for an engine that gave it a place and limits: a server with a kernel host, or that alone."""

    # Not by kernel hosts of another machine.
    takes_kernels = False
    # The engine made it, and we are in it ourselves.
    owns_group = False

    def __init__(
        self,
        request: LaunchRequest,
        connection: socket.socket,
        printing: "Printing | None",
        *,
        claim: Claim | None = None,
    ) -> None:
        super().__init__(request, connection, forks=False, claim=claim)
        self._printing = printing
        self._host: KernelHost | None = None

    def prepare(self) -> None:
        """See Keeper.prepare. Limits are others', but what they cost the session is told as everywhere."""
        if self.request.recipe:
            self._provide_environment()
        super().prepare()
        self.group = Group.around()
        self._start_host()

    def fork(self, shim_pid: int) -> int:
        """See Keeper.fork. A server that is started anew listens where the first one did.

        Without a server the kernel host's watcher is the child, and ready at once: connections wait for the host.
        """
        if self.request.only_kernels:
            return self._fork_host()
        ready = read_json(self.files.ready)
        if ready is not None and self.request.listen:
            port = ready["address"].rpartition(":")[2]
            self.request = replace(self.request, listen=f"{self.request.listen.rpartition(':')[0]}:{port}")
        return super().fork(shim_pid)

    def list_left(self) -> list[processes.Process]:
        """See Keeper.list_left. While the launch goes on, its kernels and their host do."""
        left = super().list_left()
        # Looked for after all others: what began meanwhile is in neither.
        spared = self._host.list_processes() if self._host else set()
        return [process for process in left if process not in spared]

    def end_others(self) -> None:
        """See Keeper.end_others."""
        super().end_others()
        if self._host is not None:
            self._host.clear_up()
            self._host = None

    def look(self, *, seconds: float) -> float:
        """See Keeper.look."""
        # Groups of version 1 wake only who may write to them.
        if self.memory.can_tell and not self.memory.is_woken:
            seconds = min(seconds, _MEMORY_SECONDS)
        if self._printing is None:
            return seconds
        self._printing.go_on()
        return min(seconds, _PRINT_SECONDS)

    def _provide_environment(self) -> None:
        """Have the environment that the session runs in, before anything is written into it or starts from it."""
        request = self.request
        keeping.make_private(Path(request.run_folder))
        if request.netrc:
            write_netrc(request.netrc_file, request.netrc, request.variables.get("HOME"))

        def say(line: str) -> None:
            print(line, flush=True)
            if self._printing is not None:
                self._printing.go_on()

        self.request = rebuild.provide(request, say)

    def _start_host(self) -> None:
        """Have a kernel host beside the server; where there can be none, kernels are the server's own."""
        host = KernelHost(self.request)
        try:
            self.request = replace(self.request, host_address=host.open())
        except NoHostError as exc:
            if self.request.only_kernels:
                raise OSError(f"there is no kernel host ({exc})") from exc
            print(f"Kernels end with the session's server: there is no kernel host here ({exc}).", flush=True)
            return
        if not self.request.only_kernels:
            host.start(self.request)
        self._host = host

    def _fork_host(self) -> int:
        assert self._host is not None
        claim, self.claim = self.claim, None
        if claim is not None:
            # It refuses, and lets go of the server that waits here for nothing.
            claim(self.request, self.connection)
        watcher = self._host.start(self.request)
        address = self.request.host_address
        write_json(self.files.ready, {"address": address, "kernels": address})
        keeping.tell(self.connection, "ready")
        return watcher


class Printing:
    """Prints what is added to a log. Never waits for whoever reads it, and never keeps the log's writers waiting."""

    def __init__(self, log: Path, output: int) -> None:
        self._log = log
        self._output = output
        self._offset = log.stat().st_size if log.exists() else 0

    def go_on(self, *, patience: float = 0) -> None:
        """Print what is new, as much of it as is taken without a pause of over `patience` seconds."""
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            # The first half was dropped.
            self._offset = min(self._offset, os.fstat(log.fileno()).st_size)
            # Of a pipe that is writable that much is sure to be taken.
            while select.select([], [self._output], [], patience)[1]:
                chunk = os.pread(log.fileno(), select.PIPE_BUF, self._offset)
                if not chunk:
                    return
                self._offset += os.write(self._output, chunk)


def run(folder: Path, connection: socket.socket | None = None, *, claim: Claim | None = None) -> int:
    """Run the launch that `folder` asks for; returns its status. Raises WorkloadError.

    `connection` gets the shim's events, if somebody listens; `claim` as in `studiolo.runtime.shim`.
    """
    request = _take_request(folder)
    printing = Printing(request.files.log, os.dup(1)) if request.log_to_stdout else None
    listener = connection or _nobody()
    try:
        ran = keeping.see_through(request, lambda request: Workload(request, listener, printing, claim=claim))
    except RefusedRequestError as exc:
        raise WorkloadError(UNUSABLE, str(exc)) from exc
    except OSError as exc:
        raise WorkloadError(NO_MEANS, f"The session cannot run here: {exc}.") from exc
    if not ran:
        raise WorkloadError(RAN_BEFORE, f"Launch {request.name} has run here before; a launch runs once.")
    if printing is not None:
        printing.go_on(patience=_LAST_PRINT_SECONDS)
    ended = read_json(request.files.exit) or {}
    return int(ended["code"]) if ended.get("code") is not None else _ENDED_BY_SIGNAL + (ended.get("signal") or 0)


def _nobody() -> socket.socket:
    """Return a connection at whose other end nobody listens: the launch's files tell all."""
    connection, other = socket.socketpair()
    other.close()
    return connection


def _take_request(folder: Path) -> LaunchRequest:
    """Read the request and remove it. Limits are left out: the engine has set them around this process."""
    file = LaunchFiles(folder).request
    try:
        line = file.read_bytes()
    except OSError as exc:
        raise WorkloadError(MISSING, f"There is no launch request to be read: {exc}.") from exc
    # What the engine has mounted, it also takes away.
    with contextlib.suppress(OSError):
        file.unlink()
    try:
        request = LaunchRequest.from_line(line)
    except RefusedRequestError as exc:
        raise WorkloadError(UNUSABLE, str(exc)) from exc
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return replace(
        request, variables=own | dict(request.variables), cpu_limit=None, memory_limit=None, process_limit=None
    )


def _tell_refusal(folder: Path, message: str) -> None:
    """Leave the end of a launch that never began where the engine looks for it, if it has not ended otherwise."""
    files = LaunchFiles(folder)
    if not files.shim.exists():
        with contextlib.suppress(OSError):
            now = datetime.now(UTC).isoformat()
            write_json(files.exit, {"reason": "never-ready", "message": message, "at": now})


def main() -> int:
    """Run the launch whose folder the only argument names."""
    # Process 1 would not hear, and another would end by, what comes before the shim hears signals.
    signal.pthread_sigmask(signal.SIG_BLOCK, keeping.SIGNALS)
    if len(sys.argv) != 2:
        print("usage: python -m studiolo.runtime.workload FOLDER", file=sys.stderr)
        return os.EX_USAGE
    return serve(Path(sys.argv[1]))


def serve(folder: Path, connection: socket.socket | None = None, *, claim: Claim | None = None) -> int:
    """As `run`, for a program's end: why a launch cannot run is printed, and left where the engine looks for it."""
    # Ours becomes the launch's log.
    errors = os.dup(2)
    try:
        return run(folder, connection, claim=claim)
    except WorkloadError as exc:
        os.write(errors, f"{exc}\n".encode(errors="replace"))
        _tell_refusal(folder, str(exc))
        return exc.status


if __name__ == "__main__":
    sys.exit(main())
