"""Asking a host beside the control plane (of kernels, of files) on its socket, with the secret that both know."""

import hmac
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx
from starlette.responses import JSONResponse, Response

from studiolo.contract.errors import InvalidInput, NotFound, StudioloError, Unavailable
from studiolo.contract.problems import error_of
from studiolo.kit.local_http import local_client
from studiolo.kit.shared_secret import load_shared_secret
from studiolo.server.http.edge import MAX_BODY_BYTES, Receive, Scope, Send
from studiolo.server.http.problems import problem

SECRET_HEADER = "X-Studiolo-Secret"  # noqa: S105
_SECONDS = 10.0
# Of one frame of a kernel's; nothing that is asked for has more.
_MOST_BYTES = 64 * 1024 * 1024


class HostBeside(ABC):
    """One host of this machine; every call is one request, nothing is kept between them."""

    def __init__(self, socket: Path, key_file: Path) -> None:
        self._way: tuple[str | None, str] = str(socket), "http://localhost"
        self._key_file = key_file

    @property
    def upstream(self) -> str:
        """Where the front door finds it."""
        return f"unix/{self._way[0]}"

    @property
    def secret(self) -> str:
        """The secret, as it is now."""
        return load_shared_secret(self._key_file)

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        seconds: float = _SECONDS,
    ) -> httpx.Response:
        """Send one request; return the answer if it is no error.

        Raises the StudioloError that the host answers, Unavailable (of `unavailable`) without an answer.
        """
        sent = {"Host": "localhost", "Accept-Encoding": "identity", **(headers or {})}
        try:
            sent[SECRET_HEADER] = self.secret
            socket, base = self._way
            async with local_client(socket, seconds=seconds) as client:
                url = f"{base}{path}"
                async with client.stream(method, url, headers=sent, json=body, params=params) as coming:
                    reply = await self._take(coming)
        except (httpx.HTTPError, OSError) as exc:
            raise self.unavailable(str(exc)) from exc
        if reply.is_success:
            return reply
        try:
            told = error_of(reply.json())
        except ValueError:
            told = None
        raise told or self.unavailable(f"{reply.status_code}: {reply.text[:200]}")

    async def _take(self, coming: httpx.Response) -> httpx.Response:
        """Return a whole answer: some hosts are among a member's own code, which may send without end."""
        content = bytearray()
        # As it comes: what is packed has no bound.
        async for piece in coming.aiter_raw():
            content += piece
            if len(content) > _MOST_BYTES:
                raise self.unavailable(f"an answer has more than {_MOST_BYTES} bytes")
        kept = {name: value for name, value in coming.headers.items() if name != "content-encoding"}
        return httpx.Response(coming.status_code, headers=kept, content=bytes(content))

    def check_secret(self, scope: Scope) -> None:
        """Raise NotFound unless a request of the host's to the control plane carries the secret."""
        given = [value for name, value in scope["headers"] if name == SECRET_HEADER.lower().encode()]
        try:
            secret = self.secret.encode()
        except OSError as exc:
            raise Unavailable("run-directory-unusable", "The hosts' secret cannot be read.", detail=str(exc)) from exc
        if len(given) != 1 or not hmac.compare_digest(given[0], secret):
            raise NotFound("route-not-found", "There is nothing at this address.")

    @abstractmethod
    def unavailable(self, detail: str) -> StudioloError:
        """Return the error for a host that does not answer; `detail` is for the log."""


class Questions(ABC):
    """What a host asks and tells the control plane: a bare ASGI application.

    Errors leave as problem replies, which the host passes on to its clients. `prefix`: of the paths, before what is
    asked; `asker`: how words name the host.
    """

    prefix: ClassVar[str]
    asker: ClassVar[str]
    most_bytes: ClassVar[int] = MAX_BODY_BYTES

    def __init__(self, host: HostBeside) -> None:
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question of the host's."""
        try:
            self._host.check_secret(scope)
            body = await _read_question(receive, most_bytes=self.most_bytes)
            answer = await self._answer(scope["path"].removeprefix(self.prefix), body)
        except StudioloError as exc:
            await problem(exc)(scope, receive, send)
            return
        except (KeyError, TypeError, ValueError) as exc:
            words = f"The {self.asker}'s question is not understood."
            await problem(InvalidInput("request-invalid", words, detail=repr(exc)))(scope, receive, send)
            return
        reply = Response(status_code=204) if answer is None else JSONResponse(answer)
        await reply(scope, receive, send)

    @abstractmethod
    async def _answer(self, what: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer's JSON, or None. Raises StudioloError; KeyError, TypeError, ValueError for nonsense."""


async def _read_question(receive: Receive, *, most_bytes: int) -> dict[str, Any]:
    """Read a host's question, a JSON object. Raises InvalidInput, ValueError, TypeError."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most_bytes:
            raise InvalidInput("request-too-large", "The host's question is too large.")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found
