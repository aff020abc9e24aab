"""An index of wheels that are built on the spot, for installers that sign in by a netrc file."""

import base64
import hashlib
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from environments.wheels import make_wheel
from studiolo.packages.clients.netrc import entry
from studiolo.runtime.recipes import Pin

LOGIN, KEY = "session", "key-of-the-session"
# Of linux/in.h: an address may be bound that the machine gets later.
_IP_FREEBIND = 15


class ServedIndex:
    """Serves the wheels of a folder at `host` to whoever signs in as the session."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self._folder = folder
        self._server = _Server((host, 0), partial(_Handler, directory=str(folder)))
        self.host = host
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """What installers are told."""
        return f"http://{self.host}:{self._server.server_port}/simple/"

    @property
    def netrc(self) -> str:
        """How they sign in."""
        return entry(self.host, LOGIN, KEY)

    def add(self, name: str, version: str, **extra: Any) -> Pin:
        """Have a wheel; returns the pin of its file."""
        wheel = make_wheel(self._folder, name, version, **extra)
        page = self._folder / "simple" / name / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("".join(f'<a href="/{one.name}">{one.name}</a>' for one in self._folder.glob(f"{name}-*.whl")))
        return Pin(name, version, (hashlib.sha256(wheel.read_bytes()).hexdigest(),))

    def close(self) -> None:
        """Let nobody in any more; repeatable."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        super().server_bind()


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        wanted = f"Basic {base64.b64encode(f'{LOGIN}:{KEY}'.encode()).decode()}"
        if self.headers.get("Authorization") == wanted:
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
