"""One piece of work for all who want the same at a time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Shared(Generic[Key, Value]):
    """Runs work by key, once at a time; who goes away meanwhile takes it from nobody."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[Value]] = {}

    async def run(self, key: Key, work: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return what the work returns or raise what it raises; `work` is called only where none is running."""
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.create_task(work())
            running.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Cancel all work."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, key: Key, done: asyncio.Task[Value]) -> None:
        del self._running[key]
        if not done.cancelled():
            # Nobody may be left to hear of a failure.
            done.exception()
