"""Use cases of clones: a git repository into a folder of a workspace, in the background, seen and cancelled."""

import asyncio
import os
import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import RowMapping

from studiolo.contract.archives import CloneProgress
from studiolo.contract.errors import Conflict, InvalidInput, NotFound, StudioloError, Unavailable
from studiolo.contract.models import Clone, Workspace, WorkspaceCreate
from studiolo.contract.sizes import describe_size
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.egress import resolve_outside
from studiolo.server.moves.bringing import AWAY, Bringing
from studiolo.server.principal import Principal
from studiolo.server.settings import Settings
from studiolo.server.workspaces import cloned, git
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.git import Source
from studiolo.server.workspaces.register import Register
from studiolo.server.workspaces.service import Workspaces

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 2.0
_TELL_SECONDS = 0.5
_RESERVE_BYTES = 256 * 1024**2
_MOST_REMEMBERED = 500


@dataclass
class _Job:
    progress: CloneProgress
    task: asyncio.Task[None] | None = None
    told_at: float = 0.0


class Clones:
    """Clones repositories. What is being cloned is known to this process; a note on the disk outlives it."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        folders: Folders,
        register: Register,
        workspaces: Workspaces,
        bringing: Bringing,
        settings: Settings,
    ) -> None:
        self._bringing = bringing
        self._db = db
        self._clock = clock
        self._folders = folders
        self._register = register
        self._workspaces = workspaces
        self._settings = settings
        self._jobs: dict[str, _Job] = {}

    async def create(self, who: Principal, form: WorkspaceCreate) -> Workspace:
        """Create a workspace and begin to clone into it what `form.clone` names. Raises as both."""
        if form.clone is None:
            return await self._workspaces.create(who, form)
        who.require("workspace.clone")
        await self._check(form.clone)
        made = await self._workspaces.create(who, form)
        await self.start(who, made.id, form.clone)
        return made

    async def start(self, who: Principal, reference: str, form: Clone) -> CloneProgress:
        """Begin to clone.

        Raises InvalidInput (`clone-failed`, `egress-refused`), Conflict (`clone-running`, `clone-exists`;
        `workspace-busy`, `workspace-moving` where an engine keeps the workspace's files itself).
        """
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "workspace.clone")
            if self._bringing.is_needed(row):
                await self._bringing.check(connection, row)
        source, address = await self._check(form)
        folder = self._folders.of(row["id"], row["root"])
        if await asyncio.to_thread(os.path.lexists, folder / source.folder):
            raise Conflict(
                "clone-exists",
                f"{row['name']!r} has a {source.folder!r} already.",
                hint="Rename or delete it, or pull in it from a terminal.",
            )
        known = self._jobs.get(row["id"])
        if known is not None and known.progress.state == "running":
            raise Conflict(
                "clone-running", f"{known.progress.url} is being cloned already.", hint="Wait, or cancel it."
            )
        job = _Job(_begun(source, self._clock.now()))
        # Before anything waits: a second one must find it.
        self._jobs.pop(row["id"], None)
        self._jobs[row["id"]] = job
        try:
            async with self._db.write() as tx:
                await self._register.record(tx, who, "workspace.clone", row["name"], row["id"], url=source.url)
        except BaseException:
            self._jobs.pop(row["id"], None)
            raise
        job.task = asyncio.create_task(self._run(row, job, source, form, address, folder))
        while len(self._jobs) > _MOST_REMEMBERED:
            self._jobs.pop(next(iter(self._jobs)))
        return job.progress

    async def progress(self, who: Principal, reference: str) -> CloneProgress:
        """Return how the clone goes, or how the last one ended since the platform began."""
        row = await self._find(who, reference, "workspace.clone-read")
        if (job := self._jobs.get(row["id"])) is not None:
            return job.progress
        return _interrupted(await asyncio.to_thread(cloned.read_note, self._folders.of(row["id"], row["root"])))

    async def cancel(self, who: Principal, reference: str) -> None:
        """End a clone; nothing of it stays. Raises NotFound (`clone-not-found`)."""
        row = await self._find(who, reference, "workspace.clone")
        job = self._jobs.get(row["id"])
        if job is None or job.task is None or job.task.done():
            raise _none(row)
        async with self._db.write() as tx:
            await self._register.record(tx, who, "workspace.clone-cancel", row["name"], row["id"])
        job.task.cancel()
        await asyncio.gather(job.task, return_exceptions=True)

    async def close(self) -> None:
        """End what runs; it is shown as interrupted afterwards."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel("closing")
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _find(self, who: Principal, reference: str, operation: str) -> RowMapping:
        async with self._db.read() as connection:
            return await self._register.resolve(connection, who, reference, operation)

    async def _check(self, form: Clone) -> tuple[Source, str]:
        allow = self._settings.egress.allow
        source = git.read_source(form.url, allow)
        return source, await resolve_outside(source.host, source.port, allow)

    async def _run(self, row: RowMapping, job: _Job, source: Source, form: Clone, address: str, folder: Path) -> None:
        place = self._place(row["id"])
        state, message, keep_note = "failed", None, False
        try:
            await asyncio.to_thread(cloned.prepare, folder, place, job.progress)
            await self._clone(row, job, source, form, address, place / cloned.CLONE)
            if self._bringing.is_needed(row):
                await self._bring(row, job, source, place)
            else:
                await asyncio.to_thread(cloned.put, place, folder, source.folder)
            state = "done"
        except asyncio.CancelledError as exc:
            state, keep_note = "cancelled", "closing" in exc.args
        except StudioloError as exc:
            message = f"{exc.message} {exc.hint or ''}".strip()
            _log.info("clone-failed", workspace=row["id"], host=source.host)
        except OSError as exc:
            message = f"Its files could not be written: {exc.strerror}."
        except Exception:
            message = "An unexpected fault; the log has the detail."
            _log.exception("clone-failed", workspace=row["id"])
        finally:
            await asyncio.shield(asyncio.to_thread(cloned.clear, folder, place, keep_note=keep_note))
            changes = {"state": state, "message": message, "percent": None if state != "done" else 100}
            job.progress = job.progress.model_copy(update=changes)
            self._publish(row["id"])

    def _place(self, workspace_id: str) -> Path:
        """Return where git works: among a workspace's files its people could change what git reads as its settings."""
        return self._settings.data_dir / "clones" / workspace_id

    async def _clone(self, row: RowMapping, job: _Job, source: Source, form: Clone, address: str, target: Path) -> None:
        most = self._settings.workspaces.import_max_bytes

        def tell(phase: str, percent: int | None) -> None:
            self._tell(row, job, phase, percent)

        limit = self._settings.workspaces.clone_timeout.total_seconds()
        try:
            async with asyncio.timeout(limit), asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(target, most))
                await git.clone(source, form, address, target, max_bytes=most, tell=tell)
                watch.cancel()
        except TimeoutError as exc:
            raise Unavailable("clone-failed", f"It took longer than {limit / 60:.0f} minutes, the limit here.") from exc
        except BaseExceptionGroup as exc:
            raise next((one for one in exc.exceptions if isinstance(one, StudioloError)), exc.exceptions[0]) from exc

    async def _bring(self, row: RowMapping, job: _Job, source: Source, place: Path) -> None:
        """Bring the clone to the engine that keeps the workspace's files, under its own name."""
        aside = await asyncio.to_thread(cloned.lay_out, place, AWAY)
        await self._bringing.bring(
            row, aside, source.folder, lambda percent: self._tell(row, job, "Bringing it to the workspace", percent)
        )

    def _tell(self, row: RowMapping, job: _Job, phase: str, percent: int | None) -> None:
        job.progress = job.progress.model_copy(update={"phase": phase, "percent": percent})
        if time.monotonic() - job.told_at > _TELL_SECONDS:
            job.told_at = time.monotonic()
            self._publish(row["id"])

    async def _watch(self, target: Path, most: int) -> None:
        """Raise when the clone grows beyond what is allowed or the disk has."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            size = await asyncio.to_thread(self._folders.measure, target) or 0
            if size > most:
                raise InvalidInput(
                    "clone-failed", f"The repository has more than {describe_size(most)}, the limit here."
                )
            if shutil.disk_usage(self._settings.data_dir).free < _RESERVE_BYTES:
                raise Unavailable("disk-full", "The disk is nearly full; nothing was cloned.")

    def _publish(self, workspace_id: str) -> None:
        self._register.publish(workspace_id)


def _begun(source: Source, now: datetime) -> CloneProgress:
    return CloneProgress(
        state="running",
        url=source.url,
        folder=source.folder,
        phase="Connecting",
        percent=None,
        message=None,
        began_at=now,
    )


def _interrupted(told: CloneProgress | None) -> CloneProgress:
    """Return how a clone stands that a restart of the platform cut off, by its note, or that there is none."""
    if told is None:
        return CloneProgress(state="none", url="", folder="", phase="", percent=None, message=None, began_at=None)
    message = "The platform was restarted meanwhile. Clone it again; a token must be given again."
    return told.model_copy(update={"state": "interrupted", "percent": None, "message": message})


def _none(row: RowMapping) -> NotFound:
    return NotFound("clone-not-found", f"Nothing is being cloned into {row['name']!r}.")
