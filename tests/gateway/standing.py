"""A real `studiolo gateway` for tests: a process on a free port of this machine, with folders of its own."""

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

KEY = "stg_of-tests-0123456789abcdef"
SECONDS = 60


@dataclass(frozen=True)
class Gateway:
    """A running gateway. `http` sends the key. `tls`: how its clients trust it; None: plain HTTP."""

    url: str
    folder: Path
    http: httpx.Client
    process: subprocess.Popen[str]
    said: str
    tls: ssl.SSLContext | None = None

    @property
    def root(self) -> Path:
        """Folder that notebooks' paths begin in."""
        return self.folder / "root"

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def start(self, **body: object) -> str:
        """Start a kernel and return its id."""
        reply = self.http.post("/api/kernels", json=body)
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"])


@contextmanager
def running_gateway(
    *flags: str,
    command: Sequence[str] = ("gateway",),
    folder: Path | None = None,
    key: str = KEY,
    ca: Path | None = None,
) -> Iterator[Gateway]:
    """Run the command until the block ends; it must say where it listens.

    `key`: empty, to have it make one. `ca`: the authority that its clients trust.
    """
    own = folder or Path(tempfile.mkdtemp(prefix="sg-", dir="/tmp"))
    (own / "root").mkdir(exist_ok=True)
    (own / "run").mkdir(mode=0o700, exist_ok=True)
    data = ("--data-dir", str(own / "data")) if command[0] == "gateway" else ()
    argv = [
        str(Path(sys.executable).with_name("studiolo")),
        *command,
        "--port",
        "0",
        "--root",
        str(own / "root"),
        *data,
        *flags,
    ]
    env = {**os.environ, "STUDIOLO_GATEWAY_KEY": key, "XDG_RUNTIME_DIR": str(own / "run")}
    process = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True)
    try:
        said = _what_it_says(process)
        scheme = "http://" if ca is None else "https://"
        url = next(word for word in said.split() if word.startswith(scheme)).partition("/api/")[0].rstrip("/")
        tls = None if ca is None else ssl.create_default_context(cafile=ca)
        headers = {"Authorization": f"token {KEY}"}
        with httpx.Client(base_url=url, headers=headers, timeout=SECONDS, verify=tls or True) as client:
            yield Gateway(url, own, client, process, said, tls)
    finally:
        # One that does not end fails its own module only: nothing of it may be found by the next.
        with contextlib.ExitStack() as leave:
            if folder is None:
                leave.callback(shutil.rmtree, own, ignore_errors=True)
            assert process.stderr is not None
            leave.callback(process.stderr.close)
            leave.callback(process.wait)
            leave.callback(process.kill)
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """One gateway for the tests of a module."""
    with running_gateway() as running:
        yield running


def send(gateway: Gateway, kernel: str, code: str, *, wait: bool = True) -> str:
    """Run code and return what it printed; without `wait`, return once it runs."""
    address = f"{gateway.websocket_url}/api/kernels/{kernel}/channels?token={KEY}"
    header = {"msg_id": f"m{time.monotonic_ns()}", "msg_type": "execute_request", "session": "t", "version": "5.3"}
    header |= {"username": "", "date": ""}
    content = {"code": code, "silent": False, "allow_stdin": False}
    message: dict[str, Any] = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}}
    text, missing = "", {"execute_reply", "idle"} if wait else {"execute_input"}
    with connect(address, open_timeout=SECONDS, max_size=None, ssl=gateway.tls) as socket:
        socket.send(json.dumps(message | {"content": content}))
        while missing:
            got = json.loads(socket.recv(timeout=SECONDS))
            if got["parent_header"].get("msg_id") == header["msg_id"]:
                text += got["content"].get("text", "")
                missing -= {got["header"]["msg_type"], got["content"].get("execution_state")}
    return text


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def _what_it_says(process: subprocess.Popen[str]) -> str:
    """Return the lines up to the one that says how to use it, which is the last but one."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith("Use "):
            return said
    raise AssertionError(f"the gateway ended: {said}")
