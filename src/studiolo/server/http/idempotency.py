"""`Idempotency-Key`: a request that is sent twice has one effect and one answer (an IETF draft of that name).

At most once, whatever fails: a request whose answer was lost to a kill of this process is not done again; whoever
repeats it is told to look first.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from starlette.requests import HTTPConnection

from studiolo.contract.errors import Conflict, InvalidInput, StudioloError
from studiolo.contract.models import KeyCreated, SignInLink
from studiolo.contract.people import InvitationLink
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.http.edge import ASGIApp, Message, Receive, Scope, Send
from studiolo.server.http.identity import Identity
from studiolo.server.http.problems import problem
from studiolo.server.http.tables import idempotent_requests as table

_log = structlog.get_logger(__name__)
HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Nobody waits longer for an answer: a request without one after this time was lost.
_LONGEST = timedelta(minutes=5)
_MAX_KEY_LENGTH = 255
_MAX_BODY_BYTES = 1 << 20
# Shown once and never stored, not even here.
_SECRETS = (KeyCreated, SignInLink, InvitationLink)


@dataclass(slots=True)
class _Answer:
    """What the application answered."""

    status: int = 0
    content_type: str | None = None
    body: bytes = b""


class Idempotency:
    """An ASGI layer around the API. Requests without the header, or of nobody, pass untouched."""

    def __init__(self, app: ASGIApp, db: Database, clock: Clock, identity: Identity) -> None:
        self._app = app
        self._db = db
        self._clock = clock
        self._identity = identity
        self._began = clock.now()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] not in _METHODS or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"idempotency-key"]
        who = await self._who(scope) if given else None
        if who is None:
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        name = {"person_id": who[0], "key_hash": _hash(who[1], _check(given))}
        known = await self._begin(name, _hash_request(scope, body))
        if known is not None:
            await _replay(known, send)
            return
        await self._run(name, scope, body, receive, send)

    async def _who(self, scope: Scope) -> tuple[str, str] | None:
        """Return the person and the key or login that they use: an answer is for what the key may see."""
        found = await self._identity.recognise(HTTPConnection(scope))
        return (found.person_id, found.key_id or found.login_id or "") if found else None

    async def _begin(self, name: Mapping[str, str], request_hash: str) -> RowMapping | None:
        """Write down that the request is being worked on; returns the row of one that was answered before."""
        now = self._clock.now()
        try:
            async with self._db.write() as tx:
                await tx.connection.execute(delete(table).where(table.c.created_at < now - KEPT))
                await tx.connection.execute(insert(table).values(**name, request_hash=request_hash, created_at=now))
        except IntegrityError:
            async with self._db.read() as connection:
                known = (await connection.execute(select(table).where(_is(name)))).mappings().first()
            if known is None:
                # The first of them failed just now and was forgotten.
                raise _in_progress() from None
            self._check_known(known, request_hash)
            return known
        return None

    def _check_known(self, known: RowMapping, request_hash: str) -> None:
        if known["request_hash"] != request_hash:
            raise InvalidInput(
                "idempotency-key-invalid",
                f"This {HEADER} was used for another request.",
                hint="Make a new key for each request; send the same one only to repeat it.",
            )
        if known["status"] is None:
            is_lost = known["created_at"] < max(self._began, self._clock.now() - _LONGEST)
            raise _interrupted(known["created_at"]) if is_lost else _in_progress()

    async def _run(self, name: Mapping[str, str], scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        answer = _Answer()
        unread = True

        async def receive_again() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        async def listen(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                headers = dict(message.get("headers", []))
                answer.content_type = headers.get(b"content-type", b"").decode("latin-1") or None
            else:
                answer.body += message.get("body", b"")
                if not message.get("more_body", False):
                    # Before the last of it leaves: whoever has the whole answer can rely on its repetition.
                    await self._keep(name, answer, scope)
            await send(message)

        try:
            await self._app(scope, receive_again, listen)
        except Exception:
            await self._forget(name)
            raise

    async def _keep(self, name: Mapping[str, str], answer: _Answer, scope: Scope) -> None:
        try:
            await self._finish(name, answer, scope)
        except StudioloError as exc:
            # What was asked for is done: the answer must not say otherwise, and a repetition must not do it again.
            _log.warning("answer-not-kept", request_id=scope.get("request_id"), why=exc.detail)

    async def _finish(self, name: Mapping[str, str], answer: _Answer, scope: Scope) -> None:
        if answer.status >= 500 or answer.status == 429:
            await self._forget(name)
            return
        body: bytes | None = answer.body if len(answer.body) <= _MAX_BODY_BYTES else None
        if getattr(scope.get("route"), "response_model", None) in _SECRETS and answer.status < 300:
            body = None
        values: dict[str, Any] = {"status": answer.status, "content_type": answer.content_type, "body": body}
        async with self._db.write() as tx:
            await tx.connection.execute(update(table).where(_is(name)).values(**values))

    async def _forget(self, name: Mapping[str, str]) -> None:
        async with self._db.write() as tx:
            await tx.connection.execute(delete(table).where(_is(name), table.c.status.is_(None)))


def describe(openapi: dict[str, Any]) -> None:
    """Name the header at each operation of the API's description that it works for."""
    parameter = {
        "name": HEADER,
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": _MAX_KEY_LENGTH, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "description": "Any text of your own, new for each request. Sent again within a day, the request has no second "
        "effect and the same answer.",
        "example": "5f0c9f0e-6d3b-4c8e-9b57-1d2f3a4b5c6d",
    }
    for operations in openapi["paths"].values():
        for method, operation in operations.items():
            if method.upper() in _METHODS:
                operation.setdefault("parameters", []).append(parameter)


def _is(name: Mapping[str, str]) -> Any:
    return (table.c.person_id == name["person_id"]) & (table.c.key_hash == name["key_hash"])


def _check(given: list[bytes]) -> str:
    key = given[0].decode("latin-1").strip()
    if len(given) != 1 or not 0 < len(key) <= _MAX_KEY_LENGTH or not key.isprintable() or not key.isascii():
        raise InvalidInput(
            "idempotency-key-invalid",
            f"{HEADER} must be one text of 1 to {_MAX_KEY_LENGTH} printable ASCII characters.",
            hint="A random UUID does.",
        )
    return key


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _hash_request(scope: Scope, body: bytes) -> str:
    head = b"\0".join([scope["method"].encode(), scope["path"].encode(), scope["query_string"]])
    return hashlib.sha256(head + b"\0" + body).hexdigest()


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body; None when the client went away before its end: half a request is none."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def _replay(known: RowMapping, send: Send) -> None:
    headers = [(b"idempotency-replayed", b"true")]
    body = known["body"]
    if body is None and known["status"] != 204:
        error = Conflict(
            "idempotent-answer-gone",
            "This request was done before; its answer held a secret that is shown once, or was too large to keep.",
            hint="Look at what it made, and remove that if its secret is lost.",
        )
        reply = problem(error)
        status, body = reply.status_code, bytes(reply.body)
        headers.append((b"content-type", b"application/problem+json"))
    else:
        status, body = known["status"], body or b""
        if known["content_type"]:
            headers.append((b"content-type", known["content_type"].encode("latin-1")))
    if status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _in_progress() -> Conflict:
    return Conflict(
        "request-in-progress", "The same request is being worked on.", hint="Ask again in a moment.", retry_after=1
    )


def _interrupted(at: datetime) -> Conflict:
    return Conflict(
        "request-interrupted",
        f"The platform was interrupted while it worked on this request, at {at:%H:%M:%S} UTC.",
        hint=f"Look whether it took effect; if not, send it with a new {HEADER}.",
    )
