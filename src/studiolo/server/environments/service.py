"""Gives every workspace its own environment: a reconciler that clones the default one."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from studiolo.contract.errors import StudioloError
from studiolo.contract.models import EnvironmentState
from studiolo.kit.db import Database
from studiolo.kit.reconcile import Runner
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces

_log = structlog.get_logger(__name__)
_RETRY = timedelta(seconds=30)

# Makes the default environment, or finds it; tells of its progress.
BuildBase = Callable[[Callable[[str], None]], Coroutine[Any, Any, Path]]
# Clones a base to a new place; blocking.
Clone = Callable[[Path, Path], None]


class Environments:
    """Environments of workspaces. `on_changed(workspace_id)` is called when one became ready or failed."""

    def __init__(
        self, db: Database, workspaces: Workspaces, folders: Folders, *, build_base: BuildBase, clone: Clone
    ) -> None:
        self._db = db
        self._workspaces = workspaces
        self._folders = folders
        self._build_base = build_base
        self._clone = clone
        self._base: asyncio.Task[Path] | None = None
        self.on_changed: Callable[[str], None] = lambda workspace_id: None
        self.runner = Runner("environments", step=self._step, due=self._due, concurrency=2)
        workspaces.on_created = self.runner.hint

    async def warm_up(self) -> None:
        """Build the default environment now, so that the first workspace does not wait for it."""
        try:
            await self._default()
        except StudioloError as exc:
            _log.warning("base-environment-failed", message=exc.message, hint=exc.hint, detail=exc.detail)

    async def _due(self) -> list[str]:
        async with self._db.read() as connection:
            return await queries.list_without_environment(connection)

    async def _step(self, workspace_id: str) -> timedelta | None:
        try:
            base = await self._default()
            started = time.monotonic()
            await asyncio.to_thread(self._clone, base, self._folders.environment(workspace_id))
        except (StudioloError, OSError) as exc:
            message = f"{exc.message} {exc.hint or ''}".strip() if isinstance(exc, StudioloError) else str(exc)
            _log.warning("environment-failed", workspace=workspace_id, message=message)
            # It stays pending and is tried again; the person reads why meanwhile.
            await self._workspaces.set_environment(workspace_id, EnvironmentState.PENDING, message)
            self.on_changed(workspace_id)
            return _RETRY
        _log.info("environment-ready", workspace=workspace_id, seconds=round(time.monotonic() - started, 3))
        await self._workspaces.set_environment(workspace_id, EnvironmentState.READY, None)
        self.on_changed(workspace_id)
        return None

    async def _default(self) -> Path:
        if self._base is None or (self._base.done() and (self._base.cancelled() or self._base.exception())):
            self._base = asyncio.create_task(self._build_base(_log_progress))
        return await asyncio.shield(self._base)


def _log_progress(line: str) -> None:
    _log.info("base-environment", progress=line)
