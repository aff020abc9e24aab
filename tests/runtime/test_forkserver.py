"""The fork server: quick to say it is ready, deaf to nonsense, and without anything that a fork would break."""

import json
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from studiolo.testing.local import run_fork_server

PRELOADED = """
import json, sys, threading
from studiolo.runtime.preload import preload
preload()
import asyncio, gc, zmq
print(json.dumps({
    "threads": threading.active_count(),
    "contexts": sum(isinstance(it, zmq.Context) for it in gc.get_objects()),
    "loops": sum(isinstance(it, asyncio.AbstractEventLoop) for it in gc.get_objects()),
    "foreign": sorted(m for m in sys.modules if m.startswith("studiolo.") and not m.startswith("studiolo.runtime")),
    "heavy": sorted({"IPython", "pydantic", "psutil"} & set(sys.modules)),
}))
"""


def _ask(path: Path, line: bytes) -> list[dict[str, object]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    return [json.loads(line) for line in received.splitlines()]


@pytest.mark.parametrize("line", [b"", b"no json\n", b"[]\n", b'{"workload_id": "s-1"}\n', b'{"cut":'])
def test_nonsense_is_answered_with_an_error_and_disturbs_nobody(fork_server_socket: Path, line: bytes) -> None:
    for _ in range(2):
        (event,) = _ask(fork_server_socket, line)
        assert event["event"] == "error"
        assert str(event["message"]).startswith("The launch request")


def test_its_socket_is_private(fork_server_socket: Path) -> None:
    assert fork_server_socket.stat().st_mode & 0o777 == 0o600


def test_it_replaces_a_stale_socket_and_removes_its_own(run_dir: Path) -> None:
    path = run_dir / "f.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))
    with run_fork_server(path) as process:
        assert _ask(path, b"\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
    assert not path.exists()


def test_it_leaves_no_zombies(fork_server_socket: Path) -> None:
    # Connections are taken in turn: when the last is answered, no shim is still to come.
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(fork_server_socket))
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    server = psutil.Process(struct.unpack("3i", credentials)[0])
    for _ in range(5):
        _ask(fork_server_socket, b"\n")
    until = time.monotonic() + 10
    while server.children() and time.monotonic() < until:
        psutil.wait_procs(server.children(), timeout=1)
    assert not server.children()


def test_what_it_preloads_starts_nothing_that_a_fork_would_break() -> None:
    ran = subprocess.run([sys.executable, "-c", PRELOADED], capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    assert found == {"threads": 1, "contexts": 0, "loops": 0, "foreign": [], "heavy": []}
