"""A server that forks at once for each connection, or has a spare take it; it never reads what a caller sends.

It holds no secret, no slow caller can hold it up, and it starts no thread and opens no ZMQ context, event loop or
database: a fork would copy them broken.
"""

import contextlib
import gc
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from studiolo.runtime.spares import Spares

_BACKLOG = 128
_PAUSE_SECONDS = 0.1
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class ForkServer:
    """Listens on the unix socket `path`; `keep` runs in a fork per connection and returns that process's exit code."""

    def __init__(self, path: str, spares: Spares, keep: Callable[[socket.socket], int]) -> None:
        self._path = path
        self._spares = spares
        self._keep = keep
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        # The kernel reaps the shims: nobody here asks how they ended, their exit files tell.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        self._listener = _listen(path)

    def serve(self, tell_ready: Callable[[], None]) -> None:
        """Serve until SIGTERM, SIGINT, or until `is_over`; what was forked goes on. All must be imported by now."""
        # Frozen, the heap stays shared: a collection in a child would touch, and so copy, every page.
        gc.collect()
        gc.freeze()
        tell_ready()
        server = os.getpid()
        with contextlib.suppress(SystemExit):
            while not self.is_over():
                self._serve_once()
        if os.getpid() == server:
            Path(self._path).unlink(missing_ok=True)

    def is_over(self) -> bool:
        """Tell whether nobody needs this server any more."""
        return False

    def list_others(self) -> Sequence[socket.socket]:
        """Return more sockets to wait on; whatever turns readable goes to `look`."""
        return ()

    def look(self, one: socket.socket) -> None:
        """Called when one of `list_others` turned readable."""

    def seconds_to_wait(self) -> float | None:
        """Return when to ask `is_over` at the latest."""
        return None

    def admit(self, connection: socket.socket) -> None:
        """Called with each connection of our own account."""
        self.fork_for(connection)

    def fork_for(self, connection: socket.socket) -> None:
        """Have a spare or a fork of this process serve the connection, and let go of it."""
        with connection:
            if not self._spares.claim(connection):
                self._fork(connection)

    def _serve_once(self) -> None:
        pauses = [pause for pause in (self._spares.seconds_until_due(), self.seconds_to_wait()) if pause is not None]
        if self._spares.seconds_until_due() == 0:
            self._spares.fill()
        waiting = [*self._spares.sockets(), *self.list_others(), self._listener]
        readable, _, _ = select.select(waiting, [], [], min(pauses, default=None))
        others = self.list_others()
        # The listener is the last: whoever connects is given a spare that got ready before.
        for one in readable:
            if one is self._listener:
                self._accept()
            elif one in others:
                self.look(one)
            else:
                self._spares.look(one)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as exc:
            # Out of descriptors, say: others may give some back.
            print(f"accept failed: {exc}", file=sys.stderr, flush=True)
            time.sleep(_PAUSE_SECONDS)
            return
        if _is_own_account(connection):
            self.admit(connection)
        else:
            connection.close()

    def _fork(self, connection: socket.socket) -> None:
        try:
            pid = os.fork()
        except OSError as exc:
            with contextlib.suppress(OSError):
                error = {"event": "error", "message": f"The machine cannot start another process: {exc.strerror}."}
                connection.sendall(json.dumps(error).encode() + b"\n")
            return
        if pid:
            return
        status = 1
        try:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            self._listener.close()
            self._spares.let_go()
            for one in self.list_others():
                one.close()
            random.seed()
            status = self._keep(connection)
        finally:
            os._exit(status)


def _listen(path: str) -> socket.socket:
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(umask)
    listener.listen(_BACKLOG)
    return listener


def _is_own_account(connection: socket.socket) -> bool:
    """Tell whether the caller runs under our account; elsewhere than on Linux the socket's mode must do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", credentials)[1] == os.geteuid())


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit
