"""Gives every workspace its own environment: a reconciler that clones the default one."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from studiolo.contract.errors import StudioloError, Unavailable
from studiolo.contract.models import EnvironmentState
from studiolo.contract.sizes import describe_size
from studiolo.kit.db import Database
from studiolo.kit.reconcile import Runner
from studiolo.server.environments.clone import clone, list_stray_spares, remove
from studiolo.server.environments.interpreters import Interpreters
from studiolo.server.environments.leftovers import Leftovers
from studiolo.server.environments.locks import DEFAULT_BASE
from studiolo.server.environments.spares import Spares
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces

_log = structlog.get_logger(__name__)
_RETRY = timedelta(seconds=30)
# Environments are made ahead of their first use while few are waited for; of many, each waits for its first launch.
_AHEAD = 3
# Below this, none is made: a disk that is full takes the sessions that run with it.
_LEAST_FREE_BYTES = 1 << 30

# Makes the default environment, or finds it; tells of its progress.
BuildBase = Callable[[Callable[[str], None]], Coroutine[Any, Any, Path]]
# The same for another interpreter than the default one, or for a base of the catalogue by its name.
BuildOther = Callable[[str, Callable[[str], None]], Coroutine[Any, Any, Path]]


class Environments:
    """Environments of workspaces. `on_changed(workspace_id)` is called when one became ready or failed."""

    def __init__(
        self,
        db: Database,
        workspaces: Workspaces,
        folders: Folders,
        interpreters: Interpreters,
        spares: Spares,
        leftovers: Leftovers,
        *,
        build_base: BuildBase,
        build_other: BuildOther,
        build_named: BuildOther,
    ) -> None:
        self._db = db
        self._workspaces = workspaces
        self._folders = folders
        self._interpreters = interpreters
        self._spares = spares
        self._leftovers = leftovers
        self._build_base = build_base
        self._build_other = build_other
        self._build_named = build_named
        self._bases: dict[_Choice, asyncio.Task[Path]] = {}
        # Workspaces for which somebody waits, and those that are made ahead.
        self._wanted: set[str] = set()
        self._ahead: set[str] = set()
        self.on_changed: Callable[[str], None] = lambda workspace_id: None
        # Told of each that was made from its base.
        self.on_provided: Callable[[str], Awaitable[None]] | None = None
        self.runner = Runner("environments", step=self._step, due=self._due, concurrency=_AHEAD + 1)
        workspaces.on_created = self._make_ahead

    async def warm_up(self) -> None:
        """Build the default environment now, and spare clones, so that the first workspace does not wait."""
        self._leftovers.sweep_soon()
        try:
            base = await self._base(_OWN)
        except StudioloError as exc:
            _log.warning("base-environment-failed", message=exc.message, hint=exc.hint, detail=exc.detail)
            return
        for stray in await asyncio.to_thread(list_stray_spares, base):
            await self._leftovers.put_aside(stray)
        self._spares.prepare(base)

    async def default_base(self) -> Path:
        """Return the folder of the default environment once it is built. Raises Unavailable."""
        return await self._base(_OWN)

    async def base_for(self, workspace_id: str) -> Path:
        """Return the folder of the base that a workspace begins from, once it is built. Raises StudioloError."""
        return await self._base(await self._choice_of(workspace_id))

    async def clear_up(self, fresh: Path) -> None:
        """Have what a build left at `fresh` out of the way, and a spare clone of the default environment again."""
        await self._leftovers.put_aside(fresh)
        await asyncio.to_thread(remove, fresh)
        task = self._bases.get(_OWN)
        if task is not None and task.done() and not task.cancelled() and task.exception() is None:
            self._spares.prepare(task.result())

    def base_state(self) -> tuple[bool, str]:
        """Tell whether the default environment is no worry (there, or being built), and the same as a sentence."""
        task = self._bases.get(_OWN)
        if task is None or not task.done():
            return True, "The default environment is being looked for or built."
        failed = None if task.cancelled() else task.exception()
        if isinstance(failed, StudioloError):
            return False, f"{failed.message} {failed.hint or ''}".strip()
        return failed is None, "The default environment is ready." if failed is None else str(failed)

    def want(self, workspace_id: str) -> None:
        """Make a workspace's environment now: a session waits for it. Repeatable."""
        self._wanted.add(workspace_id)
        self.runner.hint(workspace_id)

    def _make_ahead(self, workspace_id: str) -> None:
        if len(self._ahead) < _AHEAD:
            self._ahead.add(workspace_id)
            self.runner.hint(workspace_id)

    async def restore(self, workspace_id: str) -> None:
        """Make anew an environment whose folder has vanished."""
        _log.warning("environment-vanished", workspace=workspace_id)
        await self._workspaces.set_environment(workspace_id, EnvironmentState.PENDING, None)
        self.want(workspace_id)

    async def close(self) -> None:
        """Stop what goes on in the background; it is done again at the next start."""
        for task in self._bases.values():
            task.cancel()
        await asyncio.gather(*self._bases.values(), return_exceptions=True)
        await self._leftovers.close()
        await self._spares.close()

    async def _due(self) -> list[str]:
        return list(self._wanted | self._ahead)

    async def _step(self, workspace_id: str) -> timedelta | None:
        if workspace_id not in self._wanted | self._ahead:
            return None
        async with self._db.read() as connection:
            if not await queries.is_live(connection, workspace_id):
                self._forget(workspace_id)
                return None
        started = time.monotonic()
        try:
            choice = await self._choice_of(workspace_id)
            base = await self._base(choice)
            await self._provide(base, workspace_id)
        except (StudioloError, OSError) as exc:
            message = f"{exc.message} {exc.hint or ''}".strip() if isinstance(exc, StudioloError) else str(exc)
            _log.warning("environment-failed", workspace=workspace_id, message=message)
            # It stays pending and is tried again; the person reads why meanwhile.
            await self._workspaces.set_environment(workspace_id, EnvironmentState.PENDING, message)
            self.on_changed(workspace_id)
            return _RETRY
        _log.info("environment-ready", workspace=workspace_id, seconds=round(time.monotonic() - started, 3))
        await self._workspaces.set_environment(workspace_id, EnvironmentState.READY, None)
        self._forget(workspace_id)
        self.on_changed(workspace_id)
        if choice == _OWN:
            self._spares.prepare(base)
        if self.on_provided is not None:
            await self.on_provided(workspace_id)
        return None

    def _forget(self, workspace_id: str) -> None:
        self._wanted.discard(workspace_id)
        self._ahead.discard(workspace_id)

    async def _provide(self, base: Path, workspace_id: str) -> None:
        target = self._folders.environment(workspace_id)
        await asyncio.to_thread(_check_space, base)
        if not await self._spares.take(base, target):
            await asyncio.to_thread(clone, base, target)
        await asyncio.to_thread(self._folders.give, workspace_id, target)

    async def _choice_of(self, workspace_id: str) -> "_Choice":
        """What a workspace begins from. Raises InvalidInput if its interpreter is gone."""
        async with self._db.read() as connection:
            config = await queries.find_config(connection, workspace_id)
        environment = (config or {}).get("environment", {})
        name, wanted = environment.get("base"), environment.get("python_version")
        if name and name != DEFAULT_BASE:
            return _Choice(base=name)
        return _Choice(python=await self._interpreters.choose(wanted) if wanted else "")

    async def _base(self, choice: "_Choice") -> Path:
        task = self._bases.get(choice)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            self._bases[choice] = task = asyncio.create_task(self._make_base(choice))
        return await asyncio.shield(task)

    async def _make_base(self, choice: "_Choice") -> Path:
        if choice.base:
            return await self._build_named(choice.base, _log_progress)
        if choice.python:
            return await self._build_other(choice.python, _log_progress)
        return await self._build_base(_log_progress)


class _Choice(NamedTuple):
    """What an environment begins from: a base of the catalogue, or the platform's own for an interpreter."""

    python: str = ""
    base: str = ""


_OWN = _Choice()


def _check_space(base: Path) -> None:
    free = shutil.disk_usage(base).free
    if free < _LEAST_FREE_BYTES:
        raise Unavailable(
            "disk-full",
            f"The disk of the environments has {describe_size(free)} free, and {describe_size(_LEAST_FREE_BYTES)} "
            "are needed to make one.",
            hint="Free space (delete workspaces, empty the trash); it is tried again by itself.",
        )


def _log_progress(line: str) -> None:
    _log.info("base-environment", progress=line)
