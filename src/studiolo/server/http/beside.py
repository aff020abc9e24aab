"""Asking a host beside the control plane (of kernels, of files) on its socket, with the secret that both know."""

import hmac
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from studiolo.contract.errors import InvalidInput, NotFound, StudioloError, Unavailable
from studiolo.contract.problems import error_of
from studiolo.kit.local_http import local_client
from studiolo.kit.shared_secret import load_shared_secret
from studiolo.server.http.edge import Receive, Scope

SECRET_HEADER = "X-Studiolo-Secret"  # noqa: S105
_SECONDS = 10.0


class HostBeside(ABC):
    """One host of this machine; every call is one request, nothing is kept between them."""

    def __init__(self, socket: Path, key_file: Path) -> None:
        self._socket = socket
        self._key_file = key_file

    @property
    def upstream(self) -> str:
        """Where the front door finds it."""
        return f"unix/{self._socket}"

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
        sent = {"Host": "localhost", **(headers or {})}
        try:
            sent[SECRET_HEADER] = self.secret
            async with local_client(self._socket, seconds=seconds) as client:
                reply = await client.request(method, f"http://localhost{path}", headers=sent, json=body, params=params)
        except (httpx.HTTPError, OSError) as exc:
            raise self.unavailable(str(exc)) from exc
        if reply.is_success:
            return reply
        try:
            told = error_of(reply.json())
        except ValueError:
            told = None
        raise told or self.unavailable(f"{reply.status_code}: {reply.text[:200]}")

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


async def read_question(receive: Receive, *, most_bytes: int) -> dict[str, Any]:
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
