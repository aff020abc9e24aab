"""Tell open pages what changed: topics only, to those who may see the thing, and nothing to anybody else."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

# A page that reads this slowly is told "something changed" instead of each thing.
_QUEUE = 64


@dataclass(eq=False, slots=True)
class Listener:
    """One open page (or one shared between tabs)."""

    person_id: str
    login_id: str | None
    is_admin: bool
    topics: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(_QUEUE))

    def offer(self, topic: str | None) -> None:
        """Queue a topic; when the reader lags, one `all` stands for everything."""
        if self.topics.full():
            while not self.topics.empty():
                self.topics.get_nowait()
            self.topics.put_nowait("all")
        self.topics.put_nowait(topic)


class Live:
    """Fans topics out. `audience(workspace_id)` names the people who may see a workspace."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.audience: Callable[[str], Awaitable[set[str]]] | None = None

    @contextlib.contextmanager
    def listening(self, person_id: str, login_id: str | None, *, is_admin: bool) -> Iterator[Listener]:
        """Register a listener for the length of the block."""
        listener = Listener(person_id, login_id, is_admin)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def publish(self, topics: tuple[str, ...], *, workspace_id: str | None, person_id: str | None = None) -> None:
        """Tell those concerned: the members of the workspace and administrators, else the person alone."""
        if not self._listeners or not topics:
            return
        task = asyncio.get_running_loop().create_task(self._deliver(topics, workspace_id, person_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tell_everybody(self, topic: str) -> None:
        """Queue a topic for every open page; it must say nothing that only some may know."""
        for listener in list(self._listeners):
            listener.offer(topic)

    def close_logins(self, login_ids: set[str]) -> None:
        """Close the sockets of logins that ended."""
        for listener in list(self._listeners):
            if listener.login_id in login_ids:
                listener.offer(None)

    async def _deliver(self, topics: tuple[str, ...], workspace_id: str | None, person_id: str | None) -> None:
        people = {person_id} if person_id else set()
        if workspace_id is not None and self.audience is not None:
            people |= await self.audience(workspace_id)
        for listener in list(self._listeners):
            if listener.person_id in people or listener.is_admin:
                for topic in topics:
                    listener.offer(topic)
