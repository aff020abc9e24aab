"""Use cases of backups: start one, see how it goes, cancel it, list those there are; and the nightly one."""

import asyncio
import contextlib
import json
import sys
from datetime import datetime
from pathlib import Path

import structlog

from studiolo.contract.backups import Backup, BackupProgress, Backups
from studiolo.contract.details import PartHealth
from studiolo.contract.errors import Conflict, NotFound, StudioloError
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.processes import dies_with_parent
from studiolo.kit.repeat import repeat
from studiolo.server.audit.service import Audit
from studiolo.server.backup import format as form
from studiolo.server.backup.backup import backup_folder
from studiolo.server.backup.schedule import is_due, is_late
from studiolo.server.principal import PLATFORM, Principal
from studiolo.server.settings import Settings
from studiolo.server.settings.environment import plain_environment, settings_environment

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 60.0
_TOPIC = "backups"


class BackupService:
    """Backups of this platform. A process of its own makes each, so that nobody waits for it."""

    def __init__(self, settings: Settings, db: Database, clock: Clock, audit: Audit) -> None:
        self._settings = settings
        self._db = db
        self._clock = clock
        self._audit = audit
        self._process: asyncio.subprocess.Process | None = None
        self._following: asyncio.Task[None] | None = None
        self._current: BackupProgress | None = None
        self._last_try: datetime | None = None

    async def list_(self, who: Principal) -> Backups:
        """Return the backups there are, newest first, and how the one that is being made goes."""
        who.require("backup.list")
        return Backups(
            folder=str(backup_folder(self._settings)),
            nightly_at=self._settings.backup.at or None,
            keep=self._settings.backup.keep,
            current=self._current,
            items=await asyncio.to_thread(self._read),
        )

    async def start(self, who: Principal) -> BackupProgress:
        """Begin a backup. Raises Conflict (`backup-running`)."""
        who.require("backup.create")
        self._check_free()
        now = self._clock.now()
        # Before anything waits: a second one must find it.
        self._current = BackupProgress(state="running", began_at=now, done_bytes=0, total_bytes=0, message=None)
        self._last_try = now
        try:
            await self.record(who)
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "studiolo.server.backup"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env=plain_environment() | settings_environment(self._settings),
                start_new_session=True,
                preexec_fn=dies_with_parent(),
            )
        except BaseException:
            self._tell(state="failed", message="It could not be started.")
            raise
        self._following = asyncio.create_task(self._follow(self._process))
        return self._current

    async def cancel(self, who: Principal) -> None:
        """End the backup that is being made; nothing of it stays. Raises NotFound (`backup-not-found`)."""
        who.require("backup.cancel")
        if self._process is None or self._current is None or self._current.state != "running":
            raise NotFound("backup-not-found", "No backup is being made.", hint="studiolo backups lists those made.")
        async with self._db.write() as tx:
            await self._audit.record(tx, who, "backup.cancel", "the platform", topics=(_TOPIC,))
        self._tell(state="cancelled")
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        await self.settled()

    async def record(self, who: Principal) -> None:
        """Write down that a backup is made."""
        async with self._db.write() as tx:
            await self._audit.record(tx, who, "backup.create", "the platform", topics=(_TOPIC,))

    async def settled(self) -> None:
        """Wait until the backup that is being made has ended, if there is one."""
        if self._following is not None:
            await asyncio.gather(self._following, return_exceptions=True)

    async def close(self) -> None:
        """End what runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        await self.settled()

    async def look_forever(self) -> None:
        """Make the nightly backup when it is due."""
        await repeat(self.look, every_seconds=_LOOK_SECONDS, failed="backup-not-started")

    async def look(self) -> None:
        """Make a backup if one is due now."""
        at = self._settings.backup.at
        if not at or self._is_running:
            return
        now, last_good = self._clock.now().astimezone(), await asyncio.to_thread(self._last_good)
        if is_due(now, at, last_good=last_good, last_try=self._last_try):
            await self.start(PLATFORM)

    async def health(self) -> PartHealth:
        """Return how backups are, for the page of administrators."""
        last, at, now = await asyncio.to_thread(self._last_good), self._settings.backup.at, self._clock.now()
        failed = self._current is not None and self._current.state == "failed"
        words = f"Last good: {last.astimezone():%Y-%m-%d %H:%M}." if last else "None was made yet."
        if failed and self._current is not None:
            words = f"The last one failed: {self._current.message} {words}"
        elif not at:
            words += " None is made by itself: see the setting backup.at."
        return PartHealth(name="backup", ok=not failed and not is_late(now, at, last_good=last), message=words)

    @property
    def _is_running(self) -> bool:
        return self._current is not None and self._current.state == "running"

    def _check_free(self) -> None:
        if self._is_running:
            raise Conflict("backup-running", "A backup is being made already.", hint="Wait for it, or cancel it first.")

    def _read(self) -> list[Backup]:
        found = []
        for folder in form.list_backups(backup_folder(self._settings)):
            # One that is damaged is shown by its absence; restoring it says what is wrong.
            with contextlib.suppress(StudioloError):
                found.append(form.wire(folder, form.read_manifest(folder)))
        return found

    def _last_good(self) -> datetime | None:
        newest = next(iter(form.list_backups(backup_folder(self._settings))), None)
        return _ended_at(newest) if newest else None

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        said: dict[str, object] = {}
        async for line in process.stdout:
            said = json.loads(line)
            if "done" in said:
                self._tell(done_bytes=said["done"], total_bytes=said["total"])
        await process.wait()
        if self._current is None or self._current.state == "cancelled":
            return
        if process.returncode == 0:
            self._tell(state="done")
        else:
            message = str(said.get("message") or f"Its process ended (code {process.returncode}).")
            _log.warning("backup-failed", message=message)
            self._tell(state="failed", message=message)

    def _tell(self, **changes: object) -> None:
        if self._current is not None:
            self._current = self._current.model_copy(update=changes)
        self._audit.live.publish((_TOPIC,), workspace_id=None)


def _ended_at(folder: Path) -> datetime | None:
    try:
        return form.read_manifest(folder).ended_at
    except StudioloError:
        return None
