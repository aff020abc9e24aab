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
from studiolo.server.environments.clone import clone, take
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces

_log = structlog.get_logger(__name__)
_RETRY = timedelta(seconds=30)

# Makes the default environment, or finds it; tells of its progress.
BuildBase = Callable[[Callable[[str], None]], Coroutine[Any, Any, Path]]


class Environments:
    """Environments of workspaces. `on_changed(workspace_id)` is called when one became ready or failed."""

    def __init__(self, db: Database, workspaces: Workspaces, folders: Folders, *, build_base: BuildBase) -> None:
        self._db = db
        self._workspaces = workspaces
        self._folders = folders
        self._build_base = build_base
        self._base: asyncio.Task[Path] | None = None
        self._refill: asyncio.Task[None] | None = None
        self.on_changed: Callable[[str], None] = lambda workspace_id: None
        self.runner = Runner("environments", step=self._step, due=self._due, concurrency=2)
        workspaces.on_created = self.runner.hint

    async def warm_up(self) -> None:
        """Build the default environment now, and a spare clone, so that the first workspace does not wait."""
        try:
            self._prepare_spare(await self._default())
        except StudioloError as exc:
            _log.warning("base-environment-failed", message=exc.message, hint=exc.hint, detail=exc.detail)

    async def restore(self, workspace_id: str) -> None:
        """Make anew an environment whose folder has vanished."""
        _log.warning("environment-vanished", workspace=workspace_id)
        await self._workspaces.set_environment(workspace_id, EnvironmentState.PENDING, None)
        self.runner.hint(workspace_id)

    async def close(self) -> None:
        """Stop what goes on in the background; it is done again at the next start."""
        tasks = [task for task in (self._base, self._refill) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _due(self) -> list[str]:
        async with self._db.read() as connection:
            return await queries.list_without_environment(connection)

    async def _step(self, workspace_id: str) -> timedelta | None:
        started = time.monotonic()
        try:
            base = await self._default()
            await asyncio.to_thread(self._provide, base, workspace_id)
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
        self._prepare_spare(base)
        return None

    def _provide(self, base: Path, workspace_id: str) -> None:
        target = self._folders.environment(workspace_id)
        if not take(_spare_of(base), target):
            clone(base, target)

    def _prepare_spare(self, base: Path) -> None:
        """Keep one clone ready, so that a new workspace has its environment by a rename."""
        if self._refill is None or self._refill.done():
            self._refill = asyncio.create_task(_make_spare(base))

    async def _default(self) -> Path:
        if self._base is None or (self._base.done() and (self._base.cancelled() or self._base.exception())):
            self._base = asyncio.create_task(self._build_base(_log_progress))
        return await asyncio.shield(self._base)


async def _make_spare(base: Path) -> None:
    try:
        await asyncio.to_thread(clone, base, _spare_of(base))
    except OSError as exc:
        _log.warning("spare-environment-failed", message=str(exc))


def _spare_of(base: Path) -> Path:
    return base.with_name(f"spare-{base.name}")


def _log_progress(line: str) -> None:
    _log.info("base-environment", progress=line)
