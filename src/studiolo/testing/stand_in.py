"""A scripted platform on a real socket, for tests of what talks to one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel

_PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came in. `path`: below /api/v1, still quoted; `body`: parsed JSON, other text, or None."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply. `body`: bytes as they are, anything else as JSON. Status 0: hang up without one."""

    body: Any
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class StandIn:
    """Answers what it was told to answer, and remembers what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self._answers: dict[tuple[str, str], list[Answer]] = {}

    def answer(self, method: str, path: str, *bodies: Any, **given: Any) -> None:
        """Answer a request with these bodies in turn, the last one for ever. `given`: members of Answer."""
        answers = [body if isinstance(body, Answer) else Answer(body, **given) for body in bodies]
        self._answers[method, path] = answers

    def refuse(self, method: str, path: str, kind: str, code: str, status: int, **members: Any) -> None:
        """Answer a request with a problem reply (RFC 9457)."""
        problem = {"type": "about:blank", "title": code, "status": status, "code": code, "kind": kind}
        problem = {"detail": f"Refused: {code}.", "hint": None, **problem, **members}
        self.answer(method, path, problem, status=status, content_type="application/problem+json")

    def last(self, method: str) -> Asked:
        """Return the last request of a method."""
        return next(asked for asked in reversed(self.asked) if asked.method == method)

    def take(self, asked: Asked) -> Answer:
        """Record a request and return the answer to it."""
        self.asked.append(asked)
        answers = self._answers.get((asked.method, asked.path))
        if not answers:
            missing = {"code": "route-not-found", "kind": "not-found", "detail": f"Nothing at {asked.path}."}
            return Answer(missing, 404, "application/problem+json")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Run a stand-in on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.close_connection = True
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                return
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = parts.path.removeprefix(_PREFIX)
            is_json = "json" in self.headers.get("Content-Type", "")
            body = (json.loads(content) if is_json else content.decode()) if content else None
            asked = Asked(self.command, path, parse_qs(parts.query), dict(self.headers), body)
            self._reply(platform.take(asked))

        def _reply(self, answer: Answer) -> None:
            if answer.status == 0:
                self.close_connection = True
                return
            content = answer.body if isinstance(answer.body, bytes) else _as_json(answer.body)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    platform = StandIn(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield platform
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _as_json(body: Any) -> bytes:
    if isinstance(body, BaseModel):
        return body.model_dump_json().encode()
    if isinstance(body, list):
        items = [item.model_dump(mode="json") if isinstance(item, BaseModel) else item for item in body]
        return json.dumps(items).encode()
    return b"" if body is None else json.dumps(body).encode()
