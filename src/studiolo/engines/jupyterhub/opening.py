"""What opens a server to the front door: a token that is good for it alone, kept in memory and renewed in time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Front
from studiolo.engines.jupyterhub.names import Key

# The Hub's pages are given it too: who was let out here can use it at the Hub itself for so long.
TOKEN_SECONDS = 600
_RENEW_SECONDS = TOKEN_SECONDS / 2


@dataclass(frozen=True, slots=True)
class _Open:
    front: Front
    # By the monotonic clock, as counted before the Hub was asked.
    made_at: float

    @property
    def age(self) -> float:
        return time.monotonic() - self.made_at


class Openings:
    """Remembers how servers are asked. `open_server` finds out anew, with a token that is good for TOKEN_SECONDS."""

    def __init__(self, open_server: Callable[[Key], Awaitable[Front]]) -> None:
        self._open_server = open_server
        self._known: dict[Key, _Open] = {}
        self._locks: dict[Key, asyncio.Lock] = {}

    async def of(self, key: Key) -> Front:
        """Return how to ask a server. While the Hub is away, what is known is used to its end."""
        known = self._known.get(key)
        if known is not None and known.age < _RENEW_SECONDS:
            return known.front
        async with self._locks.setdefault(key, asyncio.Lock()):
            known = self._known.get(key)
            if known is not None and known.age < _RENEW_SECONDS:
                return known.front
            made_at = time.monotonic()
            try:
                known = _Open(await self._open_server(key), made_at)
            except Unavailable:
                if known is None or known.age > TOKEN_SECONDS:
                    raise
            self._known[key] = known
            return known.front

    def forget(self, key: Key) -> None:
        """Drop what is known of a server that ended."""
        self._known.pop(key, None)
        self._locks.pop(key, None)
