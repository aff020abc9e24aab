"""A short-lived program that carries one folder's files over HTTP, for an engine that has mounted them somewhere.

`python -m studiolo.runtime.carrier FOLDER` reads `FOLDER/request.json`: {"root", "host", "port", "secret"}. It answers
`POST /call` (see `carried.answer`) from whoever shows the secret (`Authorization: Bearer`) and ends by itself when
nobody has asked for a while.
"""

import hmac
import http.server
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from studiolo.runtime.carried import CarriedFolder, answer

IDLE_SECONDS = 900.0
_LARGEST = 64 << 20
_LOOK_SECONDS = 5.0


class Carrier(http.server.ThreadingHTTPServer):
    """Serves the calls of one folder, one after the other."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], root: str, secret: str) -> None:
        super().__init__(address, _Handler)
        self.secret = secret
        self.asked_at = time.monotonic()
        self._folder = CarriedFolder(root)
        self._turn = threading.Lock()

    def answer(self, body: bytes) -> bytes:
        """Do a call and return its answer, see `carried.answer`."""
        with self._turn:
            answered = answer(self._folder, body)
            self.asked_at = time.monotonic()
        return answered


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Carrier

    def do_POST(self) -> None:
        """Answer a call."""
        length = self.headers.get("Content-Length", "")
        given = self.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.server.secret}".encode()):
            self._send(401, b"")
        elif self.path != "/call" or not length.isdecimal() or int(length) > _LARGEST:
            self._send(400, b"")
        else:
            self._send(200, self.server.answer(self.rfile.read(int(length))))

    def _send(self, status: int, body: bytes) -> None:
        if status != 200:
            # What was not read would be taken for the next request.
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: names of files are nobody's business here."""


def main() -> None:
    """Serve until nobody asks any more, or a signal ends it."""
    request = json.loads(Path(sys.argv[1], "request.json").read_bytes())
    carrier = Carrier((request["host"], request["port"]), request["root"], request["secret"])
    # As process 1 it would otherwise not hear it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=carrier.serve_forever, daemon=True).start()
    while time.monotonic() - carrier.asked_at < IDLE_SECONDS:
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    main()
