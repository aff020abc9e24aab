"""Spares: shims whose child is forked and has done what every start does, and that know of no launch yet.

A fork server keeps some. A launch claims one: the fork server hands its connection on, the shim reads the request,
and the request goes on to the waiting child. What is claimed is never returned; what dies is replaced. A spare
waits on a socket to the fork server, its child on one to the shim, and both end when that socket does.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from studiolo.runtime import processes
from studiolo.runtime.descriptors import close_inherited

# Launches come in bursts, and each has the processors to itself for so long before a spare is made again.
_QUIET_SECONDS = 1.0
# Something is wrong with a spare that ends before it is ready: the next is not made at once.
_FAILED_SECONDS = 60.0
_READY = b"r"
_PIECE_BYTES = 65536
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Request(Protocol):
    """What a spare's child is sent."""

    def to_line(self) -> bytes:
        """Return the request as one JSON line."""
        ...


# Hands a request to the waiting child; returns its process id, or None if it has died or cannot serve this request.
Claim = Callable[[Any, socket.socket], int | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """What spares are made of. `prepare` runs in the child, ahead; `serve` there, with the request's line and the
    caller's connection, and returns its exit code; `keep` is the shim's work, and may hand its request to `claim`.
    `can_serve`: whether what was prepared does for a request. `rehearse`: what the shim does ahead, while the child
    prepares.
    """

    prepare: Callable[[], None]
    serve: Callable[[bytes, socket.socket], int]
    keep: Callable[[socket.socket, Claim], int]
    can_serve: Callable[[Any], bool] = lambda request: True
    rehearse: Callable[[], None] = lambda: None


class Spares:
    """The fork server's side: which spares there are, and when to make another."""

    def __init__(self, count: int, kind: Kind) -> None:
        self._count = count
        self._kind = kind
        self._ready: list[socket.socket] = []
        self._warming: socket.socket | None = None
        self._due_at = time.monotonic()

    def sockets(self) -> list[socket.socket]:
        """Return what to wait on; whatever turns readable goes to `look`."""
        return [*self._ready, *([self._warming] if self._warming else [])]

    def seconds_until_due(self) -> float | None:
        """Return when to call `fill`; None while nothing is missing, or one is being made."""
        if self._warming is not None or len(self._ready) >= self._count:
            return None
        return max(0.0, self._due_at - time.monotonic())

    def look(self, link: socket.socket) -> None:
        """Note that a spare is ready or has ended."""
        word = b""
        with contextlib.suppress(OSError):
            word = link.recv(1)
        if link is self._warming:
            self._warming = None
            if word:
                self._ready.append(link)
                return
            print("a spare ended before it was ready", file=sys.stderr, flush=True)
            self._due_at = time.monotonic() + _FAILED_SECONDS
        else:
            self._ready.remove(link)
        link.close()

    def claim(self, connection: socket.socket) -> bool:
        """Hand a caller's connection to a spare that is ready, for good; False when there is none."""
        self._due_at = max(self._due_at, time.monotonic() + _QUIET_SECONDS)
        while self._ready:
            with self._ready.pop(0) as link, contextlib.suppress(OSError):
                socket.send_fds(link, [_READY], [connection.fileno()])
                return True
        return False

    def fill(self) -> None:
        """Fork the next spare. In the child it does not return."""
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError as exc:
            print(f"cannot fork a spare: {exc}", file=sys.stderr, flush=True)
            ours.close()
            theirs.close()
            self._due_at = time.monotonic() + _FAILED_SECONDS
            return
        if pid == 0:
            _run_to_exit(theirs, self._kind)
        theirs.close()
        self._warming = ours

    def let_go(self) -> None:
        """Close the sockets in a process that is not the fork server."""
        for link in self.sockets():
            link.close()


def _run_to_exit(link: socket.socket, kind: Kind) -> None:
    """Be a spare, then the shim of the launch that claims it; never returns."""
    status = 1
    try:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        close_inherited(link.fileno())
        os.setsid()
        os.chdir("/")
        processes.name_process("studiolo-warm")
        status = wait_as_spare(link, kind)
    finally:
        os._exit(status)


def wait_as_spare(link: socket.socket, kind: Kind) -> int:
    """Be a spare until a connection comes by `link`, then the shim of its launch; returns its exit code.

    `link` carries a byte once the spare is ready; whoever holds its other end may close it to end the spare.
    """
    ours, theirs = socket.socketpair()
    me = os.getpid()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            processes.end_with_parent(me)
            close_inherited(theirs.fileno())
            status = _serve_claim(theirs, kind)
        except OSError as exc:
            print(f"The process cannot be made ready: {exc}", file=sys.stderr, flush=True)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(status)
    theirs.close()
    kind.rehearse()
    if not ours.recv(1):
        return 1
    link.sendall(_READY)
    processes.name_process("studiolo-spare")
    if ours in select.select([link, ours], [], [])[0]:
        # The child has nothing more to say: it is dead.
        return 1
    _, descriptors, _, _ = socket.recv_fds(link, 1, 1)
    link.close()
    if not descriptors:
        # The fork server is gone.
        return 0

    def claim(request: Request, connection: socket.socket) -> int | None:
        if kind.can_serve(request):
            return _hand_on(child, ours, request, connection)
        ours.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        return None

    return kind.keep(socket.socket(fileno=descriptors[0]), claim)


def _hand_on(child: int, link: socket.socket, request: Request, connection: socket.socket) -> int | None:
    """Hand a request to the spare's child, for good; returns its process id, None if it has died meanwhile."""
    line = memoryview(request.to_line())
    with link, contextlib.suppress(OSError):
        sent = socket.send_fds(link, [line[:_PIECE_BYTES]], [connection.fileno()])
        if sent < len(line):
            link.sendall(line[sent:])
        return child
    return None


def _serve_claim(link: socket.socket, kind: Kind) -> int:
    """Prepare, say so, wait for the request, and serve it; returns the exit code."""
    kind.prepare()
    gc.freeze()
    link.sendall(_READY)
    line, descriptors, _, _ = socket.recv_fds(link, _PIECE_BYTES, 1)
    if not descriptors:
        return 0
    while not line.endswith(b"\n"):
        part = link.recv(_PIECE_BYTES)
        if not part:
            return 1
        line += part
    link.close()
    return kind.serve(line, socket.socket(fileno=descriptors[0]))
