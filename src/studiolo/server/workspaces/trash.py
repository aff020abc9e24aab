"""Empties the trash: environments of deleted workspaces soon, their files when the retention is over."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy import RowMapping

from studiolo.contract.errors import StudioloError
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.audit.service import Audit
from studiolo.server.principal import PLATFORM
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import SessionsOfWorkspaces

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 600.0


class Trash:
    """Erases what nobody can reach any more. Each step may be repeated after a kill."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        audit: Audit,
        folders: Folders,
        sessions: SessionsOfWorkspaces,
        *,
        remove_environment: Callable[[Path], None],
        retention: timedelta,
    ) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._folders = folders
        self._sessions = sessions
        self._remove_environment = remove_environment
        self._retention = retention

    async def empty_forever(self) -> None:
        """Look now and then."""
        while True:
            try:
                await self.empty()
            except StudioloError as exc:
                _log.warning("trash-not-emptied", code=exc.code, message=exc.message, detail=exc.detail)
            await asyncio.sleep(_EVERY_SECONDS)

    async def empty(self) -> None:
        """Erase what is due; a workspace whose sessions still end is left for the next time."""
        async with self._db.read() as connection:
            rows = await queries.list_trash(connection)
            running = await self._sessions.count_running(connection, [row["id"] for row in rows])
        for row in rows:
            if not running.get(row["id"]):
                await self._erase(row)

    async def _erase(self, row: RowMapping) -> None:
        await asyncio.to_thread(self._remove_environment, self._folders.environment(row["id"]))
        now = self._clock.now()
        if row["deleted_at"] + self._retention > now:
            return
        await asyncio.to_thread(self._folders.erase_files, row["id"])
        async with self._db.write() as tx:
            await queries.mark_erased(tx.connection, row["id"], now)
            await self._audit.record(tx, PLATFORM, "workspace.erase", row["name"], workspace_id=row["id"])
