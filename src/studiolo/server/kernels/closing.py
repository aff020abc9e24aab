"""Close the kernels' websockets of logins, keys and memberships that ended: they were authorised as they opened."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import structlog

from studiolo.contract.errors import StudioloError
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.repeat import repeat
from studiolo.server.kernels import queries
from studiolo.server.kernels.host import KernelHost

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 3.0
_TRIES = 3
_TRY_SECONDS = 1.0
# What ended while no control plane ran is looked at once, at the start; later looks overlap a little.
_FIRST_LOOK = timedelta(days=7)
_OVERLAP = timedelta(seconds=10)
_MOST = 1000


class KernelCloser:
    """Tells the host which logins and keys ended (promise S5: within five seconds)."""

    def __init__(self, db: Database, clock: Clock, host: KernelHost) -> None:
        self._db = db
        self._clock = clock
        self._host = host
        self._looked_at = clock.now() - _FIRST_LOOK
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self, logins: set[str]) -> None:
        """Close the sockets of these logins or keys soon; returns at once."""
        if logins:
            self._begin(self._close(logins))

    def close_workspace(self, workspace_id: str, person_id: str | None) -> None:
        """Close soon whatever a person, or all members, may have open: who still has the right opens it again."""
        self._begin(self._close_workspace(workspace_id, person_id))

    async def look_forever(self) -> None:
        """Look every three seconds for what ended by time, or by another process's hand."""
        await repeat(self.look, every_seconds=_LOOK_SECONDS, failed="ended-not-looked-for")

    async def look(self) -> None:
        """Close what is open of logins and keys that ended since the last look."""
        now = self._clock.now()
        async with self._db.read() as connection:
            ended = await queries.list_ended_credentials(connection, self._looked_at, now)
        self._looked_at = now - _OVERLAP
        self.close(ended)

    async def drain(self) -> None:
        """Wait until the host has answered, for a process that ends now."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close_workspace(self, workspace_id: str, person_id: str | None) -> None:
        async with self._db.read() as connection:
            logins = await queries.list_credentials(connection, workspace_id, person_id)
        await self._close(logins)

    async def _close(self, logins: set[str]) -> None:
        names = sorted(logins)
        for begin in range(0, len(names), _MOST):
            await self._tell(names[begin : begin + _MOST])

    async def _tell(self, logins: list[str]) -> None:
        for _ in range(_TRIES):
            try:
                await self._host.ask("POST", "/_host/close", body={"logins": logins}, seconds=_TRY_SECONDS)
            except StudioloError as exc:
                why = exc.detail or exc.message
            else:
                return
        _log.info("sockets-not-closed", why=why)
