"""Answers to reads that were given before, repeated while nothing in the database has changed.

SQLite tells in microseconds whether anything was committed, by this process or another (`PRAGMA data_version`); with
another database nothing is remembered. Only addresses whose answers follow from the database, the settings and the
caller alone are listed here: nothing that measures, waits or tells the time.
"""

import re
from collections.abc import Iterable

from starlette.requests import HTTPConnection

from studiolo.kit.db import Database
from studiolo.server.http.edge import ASGIApp, Message, Receive, Scope, Send
from studiolo.server.http.identity import Identity

_ADDRESSES = re.compile(r"/api/v1/jupyter/workspaces(/[^/]+)?")
# What else of a request an answer may hang on.
_HEADERS = (b"if-none-match", b"accept")
_MOST = 2_000
_MOST_BYTES = 16 * 1024 * 1024
_LARGEST_BYTES = 256 * 1024


class KnownAnswers:
    """An ASGI layer around the API. Who asks is found anew each time; what they may see stands in the database."""

    def __init__(self, app: ASGIApp, db: Database, identity: Identity) -> None:
        self._app = app
        self._db = db
        self._identity = identity
        self._version: int | None = None
        self._known: dict[tuple[object, ...], list[Message]] = {}
        self._size_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _ADDRESSES.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        who = await self._identity.recognise(HTTPConnection(scope))
        version = self._db.version() if who is not None else None
        if version is None:
            await self._app(scope, receive, send)
            return
        if version != self._version:
            self._forget()
            self._version = version
        name = (who, scope["path"], scope["query_string"], *_varying(scope["headers"]))
        known = self._known.get(name)
        if known is None:
            known = await self._ask(scope, receive, send)
            # What was committed meanwhile may or may not be in the answer.
            if known and version == self._version == self._db.version():
                self._remember(name, known, _size(scope, known))
            return
        for message in known:
            await send(dict(message))

    def _remember(self, name: tuple[object, ...], answer: list[Message], size_bytes: int) -> None:
        if len(self._known) >= _MOST or self._size_bytes + size_bytes > _MOST_BYTES:
            self._forget()
        self._known[name] = answer
        self._size_bytes += size_bytes

    def _forget(self) -> None:
        self._known.clear()
        self._size_bytes = 0

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> list[Message]:
        """Let the application answer; returns the answer if it is worth keeping."""
        said: list[Message] = []

        async def listen(message: Message) -> None:
            # Layers further out add to the headers of what they are given.
            said.append(dict(message))
            await send(message)

        await self._app(scope, receive, listen)
        is_good = len(said) == 2 and said[0]["status"] in (200, 304)
        return said if is_good and len(said[1].get("body", b"")) <= _LARGEST_BYTES else []


def _size(scope: Scope, answer: list[Message]) -> int:
    # The headers of a request are of the client's choosing, so they count as well.
    asked = len(scope["path"]) + len(scope["query_string"]) + sum(map(len, _varying(scope["headers"])))
    return asked + len(answer[1].get("body", b""))


def _varying(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
    return tuple(value for name, value in headers if name in _HEADERS)
