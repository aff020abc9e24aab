"""The kernel server: one per environment, run by that environment's own Python, forks its kernels.

Started as `runtime.kernelcommands` says. It has ipykernel imported and knows nothing else; it serves the
environment and its clones. A kernel host that connects and says `h` keeps it alive; one that says `b` goes for good.
Without any it ends by itself after a minute, or when its environment is gone. It tells what it has imported in
`<PATH>.json`: {pid, start_time, prefix, site, distributions}; one process alone holds the lock `<PATH>.lock`.
"""

import argparse
import contextlib
import fcntl
import os
import select
import shutil
import site
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from studiolo.runtime import kernelshim, processes
from studiolo.runtime.forking import ForkServer
from studiolo.runtime.kernelcommands import GOODBYE, HELD, HERE, READY
from studiolo.runtime.kernelpreload import list_distributions, preload
from studiolo.runtime.kernelspares import KernelSpare
from studiolo.runtime.launch import write_json
from studiolo.runtime.spares import Spares

_ALONE_SECONDS = 60.0
# Another host may have connected just now and not been heard yet.
_DISMISSED_SECONDS = 0.5
_LOOK_SECONDS = 10.0


class KernelServer(ForkServer):
    """Forks kernels for the hosts that are connected."""

    def __init__(self, path: str, spares: int, lock: int) -> None:
        kind = KernelSpare(waiting_folder(path)).kind()
        super().__init__(path, Spares(spares, kind), self._serve)
        self._lock = lock
        self._silent: list[socket.socket] = []
        self._hosts: list[socket.socket] = []
        self._alone_since = time.monotonic()
        self._is_dismissed = False

    def _serve(self, connection: socket.socket) -> int:
        # Imported where it is preloaded.
        from studiolo.runtime.forkedkernel import become

        # It would be held as long as this kernel lives.
        os.close(self._lock)
        return kernelshim.serve(connection, become=become)

    def is_over(self) -> bool:
        """See ForkServer.is_over."""
        if not Path(sys.executable).exists():
            return True
        patience = _DISMISSED_SECONDS if self._is_dismissed else _ALONE_SECONDS
        return not self._hosts and time.monotonic() > self._alone_since + patience

    def seconds_to_wait(self) -> float:
        """See ForkServer.seconds_to_wait."""
        return _DISMISSED_SECONDS if self._is_dismissed else _LOOK_SECONDS

    def list_others(self) -> Sequence[socket.socket]:
        """See ForkServer.list_others."""
        return [*self._silent, *self._hosts]

    def admit(self, connection: socket.socket) -> None:
        """See ForkServer.admit: what it is tells its first byte."""
        connection.setblocking(False)
        self._silent.append(connection)
        # Hosts say what they want as they connect.
        if select.select([connection], [], [], 0)[0]:
            self.look(connection)

    def look(self, one: socket.socket) -> None:
        """See ForkServer.look."""
        is_silent = one in self._silent
        try:
            word = one.recv(1, socket.MSG_PEEK if is_silent else 0)
        except OSError:
            word = b""
        if is_silent:
            self._silent.remove(one)
            if word == HERE:
                one.recv(1)
                self._hosts.append(one)
                self._is_dismissed = False
            elif word:
                one.setblocking(True)
                self.fork_for(one)
            else:
                one.close()
            return
        self._hosts.remove(one)
        one.close()
        self._alone_since = time.monotonic()
        self._is_dismissed = word == GOODBYE


def main() -> int:
    """Serve until nobody needs it; tells through standard input's socket that it is ready, by a line."""
    parser = argparse.ArgumentParser(prog="studiolo.runtime.kernelserver")
    parser.add_argument("--socket", required=True, metavar="PATH", help="unix socket to listen on")
    parser.add_argument("--spares", type=int, default=0, metavar="N", help="kernels to keep ready (default: 0)")
    options = parser.parse_args()
    if os.fork():
        return 0
    os.setsid()
    os.chdir("/")
    processes.name_process("studiolo-kernels")
    lock = os.open(f"{options.socket}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _answer(HELD)
        return 0
    preload()
    me, waiting = os.getpid(), waiting_folder(options.socket)
    # One that was killed has left its own.
    shutil.rmtree(waiting, ignore_errors=True)
    waiting.mkdir(mode=0o700)
    server = KernelServer(options.socket, options.spares, lock)
    server.serve(lambda: _tell_ready(f"{options.socket}.json"))
    if os.getpid() == me:
        shutil.rmtree(waiting, ignore_errors=True)
    return 0


def waiting_folder(path: str) -> Path:
    """Return where the spares of the server at `path` have their sockets until they are claimed."""
    return Path(path).with_suffix(".w")


def _answer(word: bytes) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(0)) as starter:
        starter.sendall(word)


def _tell_ready(file: str) -> None:
    me = processes.find_process(os.getpid())
    known = {
        "pid": os.getpid(),
        "start_time": me.start_time if me else "",
        "prefix": sys.prefix,
        "site": site.getsitepackages()[0],
        "distributions": list_distributions(),
    }
    write_json(Path(file), known)
    _answer(READY)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
