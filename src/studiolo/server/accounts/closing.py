"""What ends with a login or key: open sockets were authorised as they opened, so whoever holds some is told."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from sqlalchemy import Select

from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.repeat import repeat
from studiolo.server.accounts import queries

_LOOK_SECONDS = 3.0
_TRIES = 3
TRY_SECONDS = 1.0
# What ended while no control plane ran is looked at once, at the start; later looks overlap a little.
_FIRST_LOOK = timedelta(days=7)
_OVERLAP = timedelta(seconds=10)


class Closer(ABC):
    """Has sockets closed of logins and keys that ended (promise S5: within five seconds)."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._looked_at = clock.now() - _FIRST_LOOK
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self, person_id: str, logins: set[str]) -> None:
        """Close the sockets of these logins or keys soon; returns at once."""
        if logins:
            self._begin(self._close(person_id, logins))

    def close_workspace(self, workspace_id: str, person_id: str | None) -> None:
        """Close soon what a person, or all members, may have open by a workspace; who may still opens it again."""
        self._begin(self._close_workspace(workspace_id, person_id))

    async def look_forever(self) -> None:
        """Look every three seconds for what ended by time, or by another process's hand."""
        await repeat(self.look, every_seconds=_LOOK_SECONDS, failed="ended-not-looked-for")

    async def look(self) -> None:
        """Close what is open of logins and keys that ended since the last look."""
        now = self._clock.now()
        async with self._db.read() as connection:
            ended = await queries.list_ended_credentials(connection, self._looked_at, now, among=self._among())
        self._looked_at = now - _OVERLAP
        for person_id, logins in ended.items():
            self.close(person_id, logins)

    async def drain(self) -> None:
        """Wait until all that were asked to close have answered, for a process that ends now."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _among(self) -> Select[tuple[str]] | None:
        """The ids of people who may have something open; None: everybody."""
        return None

    @abstractmethod
    async def _close(self, person_id: str, logins: set[str]) -> None:
        """Tell whoever may hold sockets of these logins."""

    @abstractmethod
    async def _close_workspace(self, workspace_id: str, person_id: str | None) -> None:
        """Tell whoever may hold sockets of a person, None for all members, by a workspace."""

    async def _insist(self, ask: Callable[[], Awaitable[object]], failure: type[Exception]) -> Exception | None:
        """Ask up to three times; return the last failure if none succeeded."""
        failed: Exception | None = None
        for _ in range(_TRIES):
            try:
                await ask()
            except failure as exc:
                failed = exc
            else:
                return None
        return failed

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
