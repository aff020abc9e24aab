"""Sees what installers in notebooks and terminals do to environments, by looking at the folders that they write."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from studiolo.contract.errors import StudioloError
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.reconcile import Runner
from studiolo.packages.installed.reading import folders_of, is_settled, stamp_of
from studiolo.packages.installed.snapshots import Stamp
from studiolo.server.environments.recording import Recorder
from studiolo.server.workspaces.folders import Folders

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 1.0
# So long nothing may change, so that several installations in a row are one build.
_QUIET = timedelta(seconds=1.5)
# Nobody evades the record by changing something all the time.
_LONGEST = timedelta(seconds=90)
# The index tells of its deliveries in batches.
_TOLD_WITHIN = timedelta(seconds=10)
_AGAIN = timedelta(seconds=1)
_READERS = 2


@dataclass(slots=True)
class _Watched:
    """`folders`: where to look. `recorded`: their state that the record is of, None: not known yet.

    `seen`: their last state, since `seen_at`; `changing_since`: when it first differed from the recorded one. Times
    are those of the clock that runs.
    """

    folders: list[str]
    recorded: Stamp | None = None
    seen: Stamp | None = None
    seen_at: timedelta = timedelta(0)
    changing_since: timedelta | None = None


class Watcher:
    """Watches the environments in use: of sessions and kernels that run, and of those that just ended.

    One `lstat` of each folder that installers write, each second, in a thread; what differs is a step of `runner`,
    which waits until the installer is done and has the recorder read the environment.
    """

    def __init__(self, db: Database, clock: Clock, folders: Folders, recorder: Recorder) -> None:
        self._db = db
        self._clock = clock
        self._folders = folders
        self._recorder = recorder
        self._watched: dict[str, _Watched] = {}
        self._in_use: set[str] = set()
        self.runner = Runner("live-environments", step=self._step, due=self._due, concurrency=_READERS)

    async def look_forever(self) -> None:
        """Look at the folders each second, until cancelled."""
        while True:
            try:
                for workspace_id in await self._due() - self._watched.keys():
                    await self._watch(workspace_id)
                changed = await asyncio.to_thread(self._find_changed)
                # Of those that are no longer in use, a last look.
                for workspace_id in {*changed, *(self._watched.keys() - self._in_use)}:
                    self.runner.hint(workspace_id)
            except (StudioloError, OSError) as exc:
                _log.warning("environments-not-watched", message=str(exc))
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self, workspace_id: str) -> None:
        """Look at an environment now: it was made or exchanged, or somebody wants to know."""
        self._watched.pop(workspace_id, None)
        self.runner.hint(workspace_id)

    async def _watch(self, workspace_id: str) -> _Watched:
        folders = await asyncio.to_thread(folders_of, self._folders.environment(workspace_id))
        recorded = await self._recorder.find_seen(workspace_id)
        return self._watched.setdefault(workspace_id, _Watched(folders, recorded))

    async def _due(self) -> set[str]:
        if self._recorder.users is None:
            return set()
        async with self._db.read() as connection:
            self._in_use = await self._recorder.users.list_workspaces_in_use(connection)
        return self._in_use

    def _find_changed(self) -> list[str]:
        return [name for name, one in list(self._watched.items()) if stamp_of(one.folders) != one.recorded]

    async def _step(self, workspace_id: str) -> timedelta | None:
        one = self._watched.get(workspace_id) or await self._watch(workspace_id)
        wait = await self._settle(one, self._folders.environment(workspace_id))
        if wait is not None:
            return wait
        if one.seen == one.recorded:
            one.changing_since = None
            if workspace_id not in self._in_use:
                self._watched.pop(workspace_id, None)
            return None
        assert one.changing_since is not None
        waited = self._clock.running() - one.changing_since
        recorded = await self._recorder.record(workspace_id, is_last_look=waited > _TOLD_WITHIN)
        if recorded is None:
            return _AGAIN
        # A change while it was read is seen at the next look.
        one.recorded, one.changing_since = recorded, None
        return timedelta(0)

    async def _settle(self, one: _Watched, prefix: Path) -> timedelta | None:
        """Return how long to wait until nothing changes any more, None when that is so."""
        now = self._clock.running()
        stamp = stamp_of(one.folders)
        if stamp != one.recorded:
            # Another Python has other folders.
            one.folders = await asyncio.to_thread(folders_of, prefix)
            stamp = stamp_of(one.folders)
        if stamp != one.seen:
            # The first look at one finds nothing going on.
            one.seen, one.seen_at = stamp, now if one.seen is not None else now - _QUIET
        if stamp == one.recorded:
            return None
        one.changing_since = one.changing_since or now
        if now - one.changing_since > _LONGEST:
            return None
        quiet = now - one.seen_at
        if quiet >= _QUIET and await asyncio.to_thread(is_settled, prefix):
            return None
        return max(_QUIET - quiet, timedelta(seconds=0.2))
