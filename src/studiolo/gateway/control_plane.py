"""How a host asks the control plane: one POST for each question, patient while it starts again."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from studiolo.contract.errors import KINDS, StudioloError, Unavailable

_RETRY_SECONDS = 0.25
# What clients are told of an error besides its words.
_EXTRA = ("retry_after", "candidates")
_AWAY = (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, TimeoutError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """The way there. `url`: before what is asked; `connect` makes what carries requests, where it is used.

    `patience`: for so many seconds one that does not answer is asked again; `seconds`: how long an answer may take.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    connect: Callable[[], aiohttp.BaseConnector]
    patience: float = 20.0
    seconds: float = 30.0


class ControlPlane:
    """Asks and tells. Its errors are problem replies and are raised as what they were."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._client: aiohttp.ClientSession | None = None
        self._later: set[asyncio.Task[None]] = set()

    async def ask(self, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer. Raises what it answers, Unavailable (`control-plane-unreachable`) without one."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._way.patience
        while True:
            try:
                return await self._post(what, body)
            except _AWAY as exc:
                # A reservation that was made and whose answer was lost is reconciled away by the report.
                if loop.time() > until:
                    raise _unreachable("The platform does not answer.") from exc
            except aiohttp.ClientError as exc:
                raise _unreachable(f"The platform cannot be asked: {exc}.") from exc
            await asyncio.sleep(_RETRY_SECONDS)

    def tell_later(self, what: str, body: Mapping[str, Any]) -> None:
        """Tell at once, or when it is back; not at all if that takes too long."""
        task = asyncio.create_task(self._tell(what, body))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def close(self) -> None:
        """Give up what waits, and close connections."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def _tell(self, what: str, body: Mapping[str, Any]) -> None:
        try:
            await self.ask(what, body)
        except StudioloError as exc:
            _log.warning("The control plane was not told of %s: %s", what, exc.message)

    async def _post(self, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        way = self._way
        if self._client is None:
            timeout = aiohttp.ClientTimeout(total=way.seconds)
            self._client = aiohttp.ClientSession(connector=way.connect(), timeout=timeout)
        # What it is told is for one address alone, and with a credential.
        request = self._client.post(f"{way.url}/{what}", json=body, headers=way.headers, allow_redirects=False)
        async with request as answer:
            found = await answer.json(content_type=None) if answer.status != 204 else {}
            if answer.status >= 300:
                raise _error(found, answer.status)
            return found if isinstance(found, dict) else {}


def _error(found: Any, status: int) -> StudioloError:
    if isinstance(found, dict) and found.get("kind") in KINDS and "code" in found:
        try:
            extra = {name: found[name] for name in _EXTRA if name in found}
            return KINDS[found["kind"]](found["code"], str(found.get("detail", "")), hint=found.get("hint"), **extra)
        except ValueError:
            # A code of a newer control plane.
            pass
    return _unreachable(f"The platform answered with status {status}.")


def _unreachable(message: str) -> Unavailable:
    return Unavailable("control-plane-unreachable", message, hint="Try again in a moment.")
