"""Spares of kernels: an ipykernel that is built and has bound its sockets waits in each, and is nobody's yet.

A claim gives it all that a fresh one gets from its request: variables, folder, limits, environment, connection,
history. Of the waiting nothing is left in it.
"""

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studiolo.runtime import connecting, interpreter, kernelshim, processes
from studiolo.runtime.kernelrequest import KernelRequest, RunFiles, is_plain
from studiolo.runtime.launch import read_json
from studiolo.runtime.spares import Claim, Kind

if TYPE_CHECKING:
    from studiolo.runtime.forkedkernel import SpooledKernelApp

_BOUND_SECONDS = 10.0
_PAUSE_SECONDS = 0.002
# By then the first cell has run, and nobody waits for what is left to do.
_CALM_SECONDS = 0.5


class KernelSpare:
    """What the child of a spare does. `folder`: where its sockets are until a claim, on the disk of run folders."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place: Path | None = None
        self._app: SpooledKernelApp | None = None

    def kind(self) -> Kind:
        """Return what spares of kernels are made of."""
        return Kind(self.prepare, self.serve, _keep, can_serve=can_serve, rehearse=self.rehearse)

    def prepare(self) -> None:
        """Build a kernel that has no history and no person's folder, on sockets of its own."""
        # Imported where it is preloaded.
        from studiolo.runtime.forkedkernel import SpooledKernelApp
        from studiolo.runtime.kernelperson import give_history
        from studiolo.runtime.kernelrehearsal import rehearse

        self._place = Path(tempfile.mkdtemp(prefix="", dir=self._folder))
        files = RunFiles(self._place)
        connection = connecting.new_connection(files, "")
        if connection["transport"] != "ipc":
            raise OSError(f"The path {self._place} is too long for sockets that are moved later.")
        connecting.write_connection(files, connection)
        nobodys = self._place / "ipython"
        os.environ["IPYTHONDIR"] = str(nobodys)
        app: Any = SpooledKernelApp.instance()
        self._app = app
        app.keep_in(self._place, files.spool)
        app.prepare(["-f", str(files.connection)])
        deadline = time.monotonic() + _BOUND_SECONDS
        # The heart beats in a thread that binds its socket itself.
        while not connecting.is_bound(connection):
            if time.monotonic() > deadline:
                raise TimeoutError("the kernel did not bind its sockets")
            time.sleep(_PAUSE_SECONDS)
        rehearse(app)
        give_history(app)
        app.begin()
        # Here, not when it is claimed: to remove many files takes a busy disk long.
        shutil.rmtree(nobodys, ignore_errors=True)

    def rehearse(self) -> None:
        """See Kind. On a full disk a spare does without."""
        with contextlib.suppress(OSError), tempfile.TemporaryDirectory(prefix="", dir=self._folder) as place:
            kernelshim.rehearse(Path(place), can_serve)

    def serve(self, line: bytes, connection: socket.socket) -> int:
        """Be the kernel of a request; returns its exit code."""
        from tornado.ioloop import IOLoop

        from studiolo.runtime.forkedkernel import run, tell_ready
        from studiolo.runtime.kernelperson import take_person

        assert self._app is not None
        assert self._place is not None
        request = KernelRequest.from_line(line)
        _redirect_own_output(request.files.log)
        processes.name_process("studiolo-kernel")
        os.setsid()
        kernelshim.enter(request)
        interpreter.replace_variables(request.variables)
        interpreter.forget_shared()
        interpreter.take_place(request.environment, request.argv)
        self._take_connection(self._app, RunFiles(self._place), request)
        # Who connects now is heard in a moment.
        tell_ready(self._app, request, connection)
        interpreter.forget_ours()
        take_person(self._app)
        IOLoop.current().call_later(_CALM_SECONDS, partial(shutil.rmtree, self._place, ignore_errors=True))
        return run(self._app)

    def _take_connection(self, app: "SpooledKernelApp", place: RunFiles, request: KernelRequest) -> None:
        """Move the sockets to where the request wants them: who connects there reaches the same ones."""
        wanted, mine = read_json(request.run_files.connection), read_json(place.connection)
        if wanted is None or mine is None:
            raise FileNotFoundError(f"The connection file {request.run_files.connection} is gone.")
        for port in connecting.PORTS:
            Path(f"{mine['ip']}-{mine[port]}").rename(f"{wanted['ip']}-{wanted[port]}")
        place.spool.rename(request.run_files.spool)
        app.session.key = wanted["key"].encode()
        app.ip, app.connection_file = wanted["ip"], str(request.run_files.connection)
        app.backlog.folder = request.files.spool


def can_serve(request: KernelRequest) -> bool:
    """Tell whether a kernel that was built for nobody, on unix sockets, does for this request.

    One with an account is forked: namespaces and rights are a thread's own, and a spare has threads.
    """
    if request.account:
        return False
    connection = read_json(request.run_files.connection) or {}
    return connection.get("transport") == "ipc" and is_plain(request)


def _keep(connection: socket.socket, claim: Claim) -> int:
    from studiolo.runtime.forkedkernel import become

    return kernelshim.serve(connection, become=become, claim=claim)


def _redirect_own_output(log: Path) -> None:
    """Append what the process itself writes to `log`; ipykernel put that aside when it took standard output."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream._original_stdstream_copy, inheritable=False)  # type: ignore[union-attr]
    os.close(output)
