"""Requests that a kernel was sent and has not answered: who asked each of them."""

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from studiolo.gateway.base import Parts
from studiolo.gateway.bridge.places import Place

# Beyond, the oldest are forgotten: a kernel need not answer what it does not understand.
MOST_OPEN = 20_000

Answer = asyncio.Future[list[bytes]]


@dataclass(slots=True, eq=False)
class Request:
    """One request. `asker`: the session that waits for the reply, or where the host itself waits for it.

    `session`: as in its header, None if an earlier host sent it. `header`: as it was sent. `stops`: a cell whose error
    keeps those behind it from being run.
    """

    msg_id: str
    msg_type: str
    session: str | None
    header: bytes
    asker: Place | Answer
    stops: bool = False


class Requests:
    """Open requests. Several clients may use the same msg_id, even the same session: the oldest is answered first."""

    def __init__(self) -> None:
        self._open: dict[tuple[str | None, str], deque[Request]] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Request]:
        return (request for queue in self._open.values() for request in queue)

    def note(self, request: Request) -> None:
        """Note that a request is being sent."""
        self._open.setdefault((request.session, request.msg_id), deque()).append(request)
        self._count += 1
        while self._count > MOST_OPEN:
            self._take(next(iter(self._open)))

    def find(self, parts: Parts) -> Request | None:
        """Return the open request that a message belongs to."""
        key = self._key(parts)
        return None if key is None else self._open[key][0]

    def take(self, parts: Parts) -> Request | None:
        """Return the request that a reply answers; it is open no longer."""
        key = self._key(parts)
        return None if key is None else self._take(key)

    def remove(self, request: Request) -> None:
        """Forget a request that is answered here."""
        key = (request.session, request.msg_id)
        if request in (queue := self._open.get(key, deque())):
            queue.remove(request)
            self._count -= 1
            if not queue:
                del self._open[key]

    def take_all(self, *, of_earlier_host: bool = False) -> list[Request]:
        """Return all that are open, or those that an earlier host sent; they are open no longer."""
        keys = [key for key in self._open if key[0] is None or not of_earlier_host]
        taken = [request for key in keys for request in self._open.pop(key)]
        self._count -= len(taken)
        return taken

    def _key(self, parts: Parts) -> tuple[str | None, str] | None:
        try:
            parent = json.loads(parts[1])
            keys = [(parent["session"], parent["msg_id"]), (None, parent["msg_id"])]
            return next((key for key in keys if key in self._open), None)
        except (ValueError, RecursionError, KeyError, TypeError):
            return None

    def _take(self, key: tuple[str | None, str]) -> Request:
        queue = self._open[key]
        request = queue.popleft()
        if not queue:
            del self._open[key]
        self._count -= 1
        return request
