"""A small HTTP client: nothing between the benchmark and the socket."""

import http.client
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

_SECONDS = 60.0


class Reply(NamedTuple):
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; ends the benchmark if the reply is no success."""
        if self.status >= 300:
            raise SystemExit(f"error: a request was answered {self.status}: {self.body[:500]!r}")
        return json.loads(self.body) if self.body else None


class Client:
    """Talks to one port of loopback, each request on a connection of its own."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self.port = port
        self._headers = {"Host": f"localhost:{port}", **headers}

    def ask(self, method: str, path: str, body: object = None, *, seconds: float = _SECONDS) -> Reply:
        """Send one request and read the whole reply. Raises OSError if there is nobody."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        headers = dict(self._headers)
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return Reply(response.status, response.read())
        finally:
            connection.close()

    def answers(self, path: str) -> bool:
        """Tell whether a GET is answered 200 now."""
        try:
            return self.ask("GET", path).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def await_200(self, path: str, *, pause: float, seconds: float = _SECONDS) -> None:
        """Ask again and again, `pause` seconds apart, until the answer is 200."""
        deadline = time.monotonic() + seconds
        while not self.answers(path):
            if time.monotonic() > deadline:
                raise SystemExit(f"error: {path} was not answered 200 within {seconds:.0f} s.")
            time.sleep(pause)
