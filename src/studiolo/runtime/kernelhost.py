"""The kernel host of a workload, beside its server or alone: on a socket that outlives it, started anew when it ends.

A *watcher*, forked from the workload's shim, waits until the host is needed (somebody connects, or the server is
ready), starts `python -m studiolo.gateway.inside DESCRIPTOR` with the launch's request on its standard input, and reaps
what host and kernels leave behind. What descends from it outlives a server that is started anew, and ends with the shim
even if that is killed.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from studiolo.runtime import keeping, processes
from studiolo.runtime.descriptors import close_inherited
from studiolo.runtime.launch import LaunchRequest
from studiolo.runtime.registrations import end_kernels

# Named, not imported: our runtime lives where these may be missing.
_PROGRAM = "studiolo.gateway.inside"
_NEEDS = (_PROGRAM, "aiohttp", "pydantic_core", "websockets", "zmq")
_BACKLOG = 128
_LOOK_SECONDS = 0.25
# One that ran for so long had nothing wrong that a pause would mend.
_HEALTHY_SECONDS = 30.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 10.0


class NoHostError(Exception):
    """There can be no kernel host here; the text says why."""


class KernelHost:
    """The host of one launch. `open` binds its socket and is called once; `start` has it watched."""

    def __init__(self, request: LaunchRequest) -> None:
        self._request = request
        self._listener: socket.socket | None = None
        self._watcher = 0

    def open(self) -> str:
        """Bind the socket and return its address, as the front door dials it. Raises NoHostError."""
        request = self._request
        if not request.host_folder:
            raise NoHostError("nobody asked for one")
        if missing := _find_missing():
            raise NoHostError(f"{missing} is not installed here")
        try:
            keeping.make_private(Path(request.host_folder))
            request.kernels_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._listener = _bind(request)
        except OSError as exc:
            raise NoHostError(str(exc)) from exc
        port = 0 if not request.listen else self._listener.getsockname()[1]
        return request.address(port, socket_file=request.host_socket)

    def start(self, request: LaunchRequest) -> int:
        """Fork the watcher and return its process id; `request` is what the host is told.

        Signals must be blocked. May be called again once the watcher has ended. Raises OSError.
        """
        assert self._listener is not None
        shim = os.getpid()
        self._watcher = os.fork()
        if self._watcher == 0:
            try:
                _watch(request, self._listener, shim)
            finally:
                os._exit(1)
        if not request.only_kernels:
            # There is no second watcher, and without one nobody is to wait here.
            self._listener.close()
        return self._watcher

    def list_processes(self) -> set[processes.Process]:
        """Return the watcher and all that descends from it: the host, kernels and what serves them."""
        watcher = processes.find_process(self._watcher) if self._watcher else None
        return {watcher, *processes.list_descendants(self._watcher)} if watcher is not None else set()

    def clear_up(self) -> None:
        """Close the socket and remove it."""
        if self._listener is not None:
            self._listener.close()
        self._request.host_socket.unlink(missing_ok=True)


def _find_missing() -> str | None:
    for name in _NEEDS:
        try:
            if find_spec(name) is None:
                return name
        except ImportError:
            return name
    return None


def _bind(request: LaunchRequest) -> socket.socket:
    if not request.listen:
        request.host_socket.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        try:
            listener.bind(str(request.host_socket))
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
        return listener
    family = socket.AF_INET6 if ":" in request.host else socket.AF_INET
    port = request.port if request.only_kernels else request.host_port
    return socket.create_server((request.host, port), family=family, backlog=_BACKLOG)


def _watch(request: LaunchRequest, listener: socket.socket, shim: int) -> None:
    """Be the watcher, until the shim ends."""

    def give_up(number: int, frame: object) -> None:
        end_kernels(request.kernels_folder)
        os._exit(0)

    keeping.become_child(shim)
    signal.signal(signal.SIGTERM, give_up)
    processes.become_subreaper()
    processes.name_process("studiolo-watch")
    close_inherited(listener.fileno())
    while not (
        request.only_kernels or select.select([listener], [], [], _LOOK_SECONDS)[0] or request.files.ready.exists()
    ):
        pass
    pause = _FIRST_PAUSE_SECONDS
    while True:
        begun = time.monotonic()
        _await(_start(request, listener))
        if time.monotonic() - begun > _HEALTHY_SECONDS:
            pause = _FIRST_PAUSE_SECONDS
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _start(request: LaunchRequest, listener: socket.socket) -> int:
    """Start the host; return its process id. It may end before it has read what it is told."""
    # Its own interpreter must not be led astray by what is meant for the workspace's.
    variables = {name: value for name, value in request.variables.items() if not name.startswith("PYTHON")}
    watcher = os.getpid()
    host = subprocess.Popen(
        [sys.executable, "-P", "-m", _PROGRAM, str(listener.fileno())],
        stdin=subprocess.PIPE,
        env=variables,
        cwd="/",
        pass_fds=[listener.fileno()],
        preexec_fn=lambda: processes.end_with_parent(watcher),
    )
    assert host.stdin is not None
    with contextlib.suppress(BrokenPipeError), host.stdin as feed:
        feed.write(request.to_line())
    # Its end is seen below, among those of others.
    host.returncode = 0
    return host.pid


def _await(pid: int) -> None:
    """Return when the child `pid` has ended; reap all others that end meanwhile."""
    while os.wait()[0] != pid:
        pass
