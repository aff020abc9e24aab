"""What is kept too long goes: versions and deleted files, some workspaces at a time."""

import asyncio
from datetime import datetime, timedelta

import structlog

from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.repeat import repeat
from studiolo.runtime.history.trash import Trash
from studiolo.runtime.history.versions import Versions
from studiolo.server.files.queries import list_folders
from studiolo.server.settings.files import FileSettings
from studiolo.server.workspaces.folders import Folders

_log = structlog.get_logger(__name__)
# Ten thousand workspaces take seven hours.
_EVERY_SECONDS = 60.0
_AT_ONCE = 25
_ROUND = timedelta(hours=6)


class FileRetention:
    """Goes round the workspaces by their ids, again and again, at most once in six hours."""

    def __init__(self, db: Database, clock: Clock, folders: Folders, settings: FileSettings) -> None:
        self._db = db
        self._clock = clock
        self._folders = folders
        self._settings = settings
        self._after = ""
        self._began_at: datetime | None = None

    async def look_forever(self) -> None:
        """Look now and then."""
        await repeat(self.look, every_seconds=_EVERY_SECONDS, failed="files-not-pruned")

    async def look(self) -> None:
        """Prune the next workspaces, if any are due."""
        now = self._clock.now()
        if not self._after:
            if self._began_at is not None and now < self._began_at + _ROUND:
                return
            self._began_at = now
        async with self._db.read() as connection:
            rows = await list_folders(connection, after=self._after, limit=_AT_ONCE)
        for workspace_id, root in rows:
            await asyncio.to_thread(self._prune, workspace_id, root, now)
        self._after = rows[-1][0] if len(rows) == _AT_ONCE else ""

    def _prune(self, workspace_id: str, root: str | None, now: datetime) -> None:
        folder = self._folders.of(workspace_id, root)
        # Where its people made something else of our folder, no other is kept from its turn.
        try:
            Versions(folder).prune((now - self._settings.keep_versions).timestamp())
            Trash(folder).prune((now - self._settings.keep_trash).timestamp())
        except OSError as exc:
            _log.warning("files-not-pruned", workspace=workspace_id, reason=str(exc))
