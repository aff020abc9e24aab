"""Wake those who wait for a session to change: requests held open, the front door."""

import asyncio
from collections import defaultdict
from collections.abc import Callable


class Changes:
    """`announce` after a commit; `wait` until the next announcement."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)
        # Told of every change, of whatever session.
        self.watchers: list[Callable[[], None]] = []

    def announce(self, session_id: str) -> None:
        """Wake everybody who waits for this session."""
        for watcher in self.watchers:
            watcher()
        for future in self._waiting.pop(session_id, ()):
            if not future.done():
                future.set_result(None)

    async def wait(self, session_id: str, seconds: float) -> bool:
        """Wait for a change; False if none came in time. Begin waiting before you look."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[session_id].add(future)
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await future
        except TimeoutError:
            return False
        finally:
            waiting = self._waiting.get(session_id)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[session_id]
        return True
