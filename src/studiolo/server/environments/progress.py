"""What goes on in builds, for those who wait: the newest lines, in memory; a build's end stands in its row."""

import asyncio
from collections import deque
from collections.abc import Callable

_LINES_KEPT = 200
_MOST_REMEMBERED = 200


class Progress:
    """Lines by workspace and build. `on_news(workspace_id)` is called at each and at a build's end."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, int], deque[str]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self.on_news: Callable[[str], None] = lambda workspace_id: None

    def add(self, workspace_id: str, number: int, line: str) -> None:
        """Add a line to a build's progress."""
        self._lines.setdefault((workspace_id, number), deque(maxlen=_LINES_KEPT)).append(line[:500])
        while len(self._lines) > _MOST_REMEMBERED:
            self._lines.pop(next(iter(self._lines)))
        self.wake(workspace_id)

    def wake(self, workspace_id: str) -> None:
        """Have those who wait look again: a line came, or a build ended."""
        if (news := self._news.pop(workspace_id, None)) is not None:
            news.set()
        self.on_news(workspace_id)

    def lines(self, workspace_id: str, number: int) -> list[str]:
        """Return the lines of a build, oldest first; empty after a restart of the platform."""
        return list(self._lines.get((workspace_id, number), ()))

    async def news(self, workspace_id: str, seconds: float) -> None:
        """Wait for the next `wake`, at most so long."""
        event = self._news.setdefault(workspace_id, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
