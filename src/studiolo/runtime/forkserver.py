"""The fork server: has JupyterLab imported, forks a shim per request or has a spare take it, knows nothing else.

`python -m studiolo.runtime.forkserver --socket PATH`. It accepts a connection and forks at once; the child
reads the request, so that this process never holds a secret and no slow caller can hold it up. It starts no
thread and opens no ZMQ context, event loop or database: a fork would copy them broken.
"""

import argparse
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
from pathlib import Path
from types import FrameType

from studiolo.runtime import shim
from studiolo.runtime.notify import tell_ready
from studiolo.runtime.preload import preload
from studiolo.runtime.spares import Spares

_BACKLOG = 128
_PAUSE_SECONDS = 0.1


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; sessions go on without it."""
    parser = argparse.ArgumentParser(prog="studiolo.runtime.forkserver")
    parser.add_argument("--socket", required=True, metavar="PATH", help="unix socket to listen on")
    parser.add_argument("--spares", type=int, default=0, metavar="N", help="started servers to keep ready (default: 0)")
    options = parser.parse_args(arguments)
    path = options.socket
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    # The kernel reaps the shims: nobody here asks how they ended, their exit files tell.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    preload()
    listener = _listen(path)
    # Frozen, the heap stays shared: a collection in a child would touch, and so copy, every page.
    gc.collect()
    gc.freeze()
    tell_ready()
    server = os.getpid()
    with contextlib.suppress(SystemExit):
        _serve(listener, Spares(options.spares))
    if os.getpid() == server:
        Path(path).unlink(missing_ok=True)
    return 0


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


def _serve(listener: socket.socket, spares: Spares) -> None:
    while True:
        pause = spares.seconds_until_due()
        if pause == 0:
            spares.fill()
        readable, _, _ = select.select([*spares.sockets(), listener], [], [], pause)
        # The listener is the last: whoever connects is given a spare that got ready before.
        for one in readable:
            if one is listener:
                _accept(listener, spares)
            else:
                spares.look(one)


def _accept(listener: socket.socket, spares: Spares) -> None:
    try:
        connection, _ = listener.accept()
    except OSError as exc:
        # Out of descriptors, say: others may give some back.
        print(f"accept failed: {exc}", file=sys.stderr, flush=True)
        time.sleep(_PAUSE_SECONDS)
        return
    with connection:
        if _is_own_account(connection) and not spares.claim(connection):
            _fork_shim(listener, spares, connection)


def _fork_shim(listener: socket.socket, spares: Spares, connection: socket.socket) -> None:
    try:
        pid = os.fork()
    except OSError as exc:
        with contextlib.suppress(OSError):
            error = {
                "event": "error",
                "message": f"The machine cannot start another process: {exc.strerror}.",
            }
            connection.sendall(json.dumps(error).encode() + b"\n")
        return
    if pid:
        return
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        listener.close()
        spares.let_go()
        random.seed()
        status = shim.serve(connection, forks=True)
    finally:
        os._exit(status)


def _is_own_account(connection: socket.socket) -> bool:
    """Tell whether the caller runs under our account; elsewhere than on Linux the socket's mode must do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", credentials)[1] == os.geteuid())


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit


if __name__ == "__main__":
    sys.exit(main())
