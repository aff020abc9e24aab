"""What the file host asks the control plane: `POST /_files/…` on its socket, with the secret that both know."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from studiolo.contract.errors import StudioloError, Unavailable
from studiolo.contract.problems import error_of
from studiolo.files.host.callers import SECRET_HEADER, Caller
from studiolo.kit.local_http import local_client

# How long a finished upload waits for a control plane that starts again.
_PATIENCE_SECONDS = 20.0
_RETRY_SECONDS = 0.25


class ControlPlane:
    """The control plane of this platform."""

    def __init__(self, socket: Path, secret: str) -> None:
        self._socket = socket
        self._headers = {"Host": "localhost", "X-Studiolo-Question": "1", SECRET_HEADER: secret}

    async def check(self, caller: Caller) -> StudioloError | None:
        """Return why the caller may not go on; None while they may, and while nobody can say."""
        try:
            await self._ask("check", {"caller": caller.as_json()})
        except Unavailable:
            return None
        except StudioloError as exc:
            return exc
        return None

    async def record_upload(self, caller: Caller, upload: Mapping[str, Any]) -> None:
        """Have an upload recorded that is about to be placed; repeated under its id it has one effect.

        `upload`: {id, path, size, overwrote}. Waits while the control plane starts again. Raises what it answers.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE_SECONDS
        while True:
            try:
                return await self._ask("uploaded", {"caller": caller.as_json(), "upload": upload})
            except Unavailable as exc:
                if exc.code != "control-plane-unreachable" or loop.time() > until:
                    raise
            await asyncio.sleep(_RETRY_SECONDS)

    async def _ask(self, what: str, body: Mapping[str, Any]) -> None:
        try:
            async with local_client(self._socket, seconds=30) as client:
                reply = await client.post(f"http://localhost/_files/{what}", json=body, headers=self._headers)
        except (httpx.HTTPError, OSError) as exc:
            raise _unreachable(repr(exc)) from exc
        if not reply.is_success:
            try:
                raise error_of(reply.json()) or _unreachable(f"{reply.status_code}")
            except ValueError as exc:
                raise _unreachable(f"{reply.status_code}: {reply.text[:200]}") from exc


def _unreachable(detail: str) -> Unavailable:
    return Unavailable(
        "control-plane-unreachable", "The platform does not answer.", hint="Try again in a moment.", detail=detail
    )
