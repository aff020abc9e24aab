"""One look at all servers that everybody shares, so that a thousand sessions cost the Hub no more than one."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from studiolo.contract.errors import Unavailable
from studiolo.engines.jupyterhub.api import away
from studiolo.engines.jupyterhub.names import Key
from studiolo.engines.jupyterhub.servers import HubServer

Servers = Mapping[Key, HubServer]
# Who asks is answered by then; the look itself goes on, and the next to ask has what it finds.
_PATIENCE_SECONDS = 8.0


class Lookout:
    """Looks by `look_around`, once at a time: when somebody asks, and each `interval_seconds` while anybody watches."""

    def __init__(self, look_around: Callable[[], Awaitable[Servers]], interval_seconds: float) -> None:
        self._look_around = look_around
        self._interval = interval_seconds
        self._seen: Servers = {}
        # When the look began that `_seen` is of.
        self._seen_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._watchers: dict[Key, set[asyncio.Event]] = defaultdict(set)
        self._rounds: asyncio.Task[None] | None = None

    async def look(self, *, within_seconds: float) -> Servers:
        """Return the servers as they were no longer ago than that. Raises what `look_around` raises, or Unavailable."""
        since = time.monotonic() - within_seconds
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while self._seen_at < since:
                    if self._looking is None:
                        self._looking = asyncio.create_task(self._look())
                        self._looking.add_done_callback(self._looked)
                    await asyncio.shield(self._looking)
        except TimeoutError as exc:
            raise away(exc) from exc
        return self._seen

    async def watch(self, key: Key) -> AsyncIterator[None]:
        """Yield when a server changed, first as soon as it has been looked at; finish when it runs no more."""
        news, began = asyncio.Event(), time.monotonic()
        self._watchers[key].add(news)
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._look_forever())
        try:
            while key in self._seen or self._seen_at < began:
                await news.wait()
                news.clear()
                yield
        finally:
            self._watchers[key].discard(news)
            if not self._watchers[key]:
                del self._watchers[key]

    async def aclose(self) -> None:
        """End all looking."""
        tasks = [task for task in (self._looking, self._rounds) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        began = time.monotonic()
        before, self._seen = self._seen, await self._look_around()
        self._seen_at = began
        for key, watchers in list(self._watchers.items()):
            if before.get(key) != self._seen.get(key) or key not in self._seen:
                for news in watchers:
                    news.set()

    def _looked(self, done: asyncio.Task[None]) -> None:
        self._looking = None
        if not done.cancelled():
            # Nobody may be left to hear of a failure.
            done.exception()

    async def _look_forever(self) -> None:
        while self._watchers:
            with contextlib.suppress(Unavailable):
                await self.look(within_seconds=self._interval / 2)
            await asyncio.sleep(self._interval)
        self._rounds = None
