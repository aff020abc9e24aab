"""Watch what engines tell of running sessions, so that nobody needs to poll."""

import asyncio
from collections.abc import Callable

import structlog

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Engine, Handle, Watches

_log = structlog.get_logger(__name__)


class Watching:
    """One watch for each launch; `on_news(session_id)` is called whenever looking again is worth it."""

    def __init__(self, on_news: Callable[[str], None]) -> None:
        self._on_news = on_news
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    def watch(self, engine: Engine, session_id: str, launch: int, handle: Handle) -> None:
        """Watch a launch until it ends; nothing happens for one that is watched already."""
        key = (session_id, launch)
        if key in self._tasks or not isinstance(engine, Watches):
            return
        task = asyncio.create_task(self._follow(engine, handle, session_id))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def close(self) -> None:
        """Stop watching; the sessions run on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, engine: Watches, handle: Handle, session_id: str) -> None:
        try:
            async for _ in engine.watch(handle):
                self._on_news(session_id)
        except Unavailable as exc:
            _log.warning("watch-failed", session=session_id, message=exc.message)
        self._on_news(session_id)
