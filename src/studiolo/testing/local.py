"""Real pieces for tests of local sessions: an environment, a fork server, and a client of one session."""

import asyncio
import base64
import fcntl
import json
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect, unix_connect

_FORK_SERVER_SECONDS = 60.0
# A kernel begins with its first connection; on a loaded machine that takes its time.
_OPEN_SECONDS = 60.0


def build_environment(folder: Path) -> Path:
    """Make a workspace environment with ipykernel in `folder` by uv, once; returns the folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".ready").exists():
            uv = str(Path(sys.executable).with_name("uv"))
            python = str(folder / "bin" / "python")
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
            install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "ipykernel"]
            subprocess.run(install, check=True)
            (folder / ".ready").touch()
    return folder


@contextmanager
def run_fork_server(path: Path, *, spares: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """Run a fork server that listens on `path`, from the moment it says that it is ready."""
    notify_path = path.with_suffix(".notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(notify_path))
        notify.settimeout(_FORK_SERVER_SECONDS)
        process = subprocess.Popen(
            [sys.executable, "-m", "studiolo.runtime.forkserver", "--socket", str(path), "--spares", str(spares)],
            env={"NOTIFY_SOCKET": str(notify_path)},
        )
        try:
            assert notify.recv(64) == b"READY=1"
            yield process
        finally:
            process.terminate()
            process.wait(timeout=10)
            notify_path.unlink()


@dataclass(frozen=True)
class SessionClient:
    """Speaks to a session as the front door does, over its unix socket, or at `address` (`host:port`)."""

    socket: Path
    base_url: str
    secret: str
    address: str = ""

    @classmethod
    def at(cls, upstream: str, base_url: str, secret: str) -> "SessionClient":
        """Return a client of the session at `upstream`, as engines tell it: `unix//path` or `host:port`."""
        if upstream.startswith("unix/"):
            return cls(Path(upstream.removeprefix("unix/")), base_url, secret)
        return cls(Path(), base_url, secret, upstream)

    def headers(self, auth: str = "key") -> dict[str, str]:
        """Return the headers that the front door adds."""
        person = json.dumps({"id": "p-0000000000000001", "name": "ana", "display_name": "Ana Ruiz"})
        return {
            "X-Studiolo-Secret": self.secret,
            "X-Studiolo-Person": base64.urlsafe_b64encode(person.encode()).decode(),
            "X-Studiolo-Auth": auth,
            "X-Studiolo-Login": "k-0000000000000001",
        }

    def http(self, auth: str | None = "key") -> httpx.AsyncClient:
        """Return an HTTP client of the session; `auth` None sends none of the front door's headers."""
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=None if self.address else str(self.socket)),
            base_url=f"http://{self.address or 'localhost'}{self.base_url}",
            headers=self.headers(auth) if auth else {},
            timeout=20,
            trust_env=False,
        )

    async def start_kernel(self, path: str = "work.ipynb") -> str:
        """Start a kernel for the notebook at `path`; returns the kernel's id."""
        body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        async with self.http() as http:
            reply = await http.post("api/sessions", json=body)
            reply.raise_for_status()
            return str(reply.json()["kernel"]["id"])

    @asynccontextmanager
    async def channels(self, kernel_id: str, auth: str | None = "key") -> AsyncIterator[ClientConnection]:
        """Open the kernel's websocket."""
        place = f"{self.address or 'localhost'}{self.base_url}"
        url = f"ws://{place}api/kernels/{kernel_id}/channels?session_id={uuid.uuid4().hex}"
        headers = self.headers(auth) if auth else {}
        opening = (
            connect(url, additional_headers=headers, proxy=None, open_timeout=_OPEN_SECONDS)
            if self.address
            else unix_connect(str(self.socket), url, additional_headers=headers, open_timeout=_OPEN_SECONDS)
        )
        async with opening as connection:
            yield connection

    async def run(self, kernel_id: str, code: str) -> str:
        """Run `code` in the kernel; returns what it printed, or its traceback's last line."""
        async with self.channels(kernel_id) as connection:
            return await execute(connection, code)


async def execute(connection: ClientConnection, code: str, *, within: float = 60.0) -> str:
    """Send one cell over an open kernel websocket and collect what it prints until the kernel is idle again."""
    message = _execute_request(code)
    output = ""
    async with asyncio.timeout(within):
        await connection.send(json.dumps(message))
        while True:
            reply = json.loads(await connection.recv())
            if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            content = reply["content"]
            output += content.get("text", "") if reply["msg_type"] == "stream" else ""
            output += content["evalue"] if reply["msg_type"] == "error" else ""
            if reply["msg_type"] == "status" and content["execution_state"] == "idle":
                return output


def _execute_request(code: str) -> dict[str, Any]:
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": "ana",
        "session": uuid.uuid4().hex,
        "version": "5.4",
        "date": "",
    }
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }
