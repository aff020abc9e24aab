"""Use cases that read: what an environment holds, its builds, what would come of an installation."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.environments import (
    Build,
    BuildDifference,
    EnvironmentDetails,
    InstalledPackage,
    PackageCheck,
    Plan,
)
from studiolo.contract.errors import NotFound
from studiolo.contract.models import Page
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import cursor_invalid
from studiolo.kit.db import Database
from studiolo.packages.enforcement import enforcement_of
from studiolo.packages.installed.differing import compare
from studiolo.packages.installed.lock import Lock
from studiolo.packages.installed.reading import folders_of, stamp_of
from studiolo.packages.installed.snapshots import Distribution, Snapshot, Stamp
from studiolo.server.environments import queries
from studiolo.server.environments.locks import Locks
from studiolo.server.environments.planning import Planner
from studiolo.server.environments.progress import Progress
from studiolo.server.environments.specs import read_spec
from studiolo.server.environments.wire import build_of, change_of
from studiolo.server.http.streaming import AskWho
from studiolo.server.principal import Principal
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces

_TICK_SECONDS = 1.0
_MOST_SEEN = 200


class History:
    """Environments as their people see them."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        workspaces: Workspaces,
        folders: Folders,
        locks: Locks,
        planner: Planner,
        progress: Progress,
        *,
        isolation: str,
    ) -> None:
        self._db = db
        self._clock = clock
        self._workspaces = workspaces
        self._folders = folders
        self._locks = locks
        self._planner = planner
        self._progress = progress
        self._isolation = isolation
        self._seen: dict[str, tuple[tuple[int | None, Stamp], Lock, list[InstalledPackage]]] = {}

    async def details(self, who: Principal, reference: str) -> EnvironmentDetails:
        """Return what a workspace's environment is now."""
        async with self._db.read() as connection:
            row = await self._find(connection, who, reference)
            live = await queries.find_live(connection, row["id"])
            building = await queries.find_next(connection, row["id"])
        number = live["number"] if live is not None else None
        lock, packages = await self._look(row["id"], number)
        return EnvironmentDetails(
            base=lock.base,
            hash=lock.hash if packages else None,
            python=lock.python or None,
            build=build_of(live, live=number) if live is not None else None,
            building=self._wire(building, number) if building is not None else None,
            packages=packages,
            isolation=self._isolation,
            enforcement=enforcement_of(self._isolation),
        )

    async def list_builds(
        self, who: Principal, reference: str, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Build]:
        """Return builds, newest first."""
        if cursor is not None and (not cursor.isdecimal() or len(cursor) > 9):
            raise cursor_invalid()
        async with self._db.read() as connection:
            row = await self._find(connection, who, reference)
            live = await queries.find_live(connection, row["id"])
            before = int(cursor) if cursor is not None else None
            rows = await queries.list_builds(connection, row["id"], before=before, limit=limit + 1)
        number = live["number"] if live is not None else None
        items = [self._wire(one, number) for one in rows[:limit]]
        return Page(items=items, next_cursor=str(items[-1].number) if len(rows) > limit else None)

    async def get(self, who: Principal, reference: str, number: int, *, wait_seconds: float = 0.0) -> Build:
        """Return a build, once it has ended or so much time has passed. Raises NotFound (`build-not-found`)."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        while (found := await self._get(who, reference, number))[1].state == "building":
            left = deadline - loop.time()
            if left <= 0:
                break
            await self._progress.news(found[0], left)
        return found[1]

    async def follow(self, who: Principal, reference: str, number: int, ask_who: AskWho) -> AsyncIterator[str | Build]:
        """Yield the lines of a build's progress as they come and, when it has ended, the build.

        `ask_who` raises when the reader's login has ended. Raises as `get`.
        """
        told = 0
        while True:
            workspace_id, build = await self._get(who, reference, number)
            lines = self._progress.lines(workspace_id, number)
            for line in lines[told:]:
                yield line
            told = max(told, len(lines))
            if build.state != "building":
                yield build
                return
            await self._progress.news(workspace_id, _TICK_SECONDS)
            who = await ask_who()

    async def difference(self, who: Principal, reference: str, before: int, after: int) -> BuildDifference:
        """Return what changes from one build to another. Raises NotFound (`build-not-found`)."""
        first, second = [await self.lock(who, reference, number) for number in (before, after)]
        return BuildDifference(
            before=before,
            after=after,
            base_before=first.base,
            base_after=second.base,
            changes=[change_of(one) for one in compare(first.packages, second.packages)],
        )

    async def lock(self, who: Principal, reference: str, number: int | None = None) -> Lock:
        """Return the lock of a build, of the live one without a number. Raises NotFound (`build-not-found`)."""
        async with self._db.read() as connection:
            row = await self._find(connection, who, reference)
            build = await (
                queries.find_live(connection, row["id"])
                if number is None
                else queries.find_build(connection, row["id"], number)
            )
        if build is None or not build["lock"]:
            raise _no_build(row, number)
        return Lock.from_toml(build["lock"])

    async def sbom(self, who: Principal, reference: str, number: int | None = None) -> str:
        """Return the bill of materials of a build, or of the live one, as CycloneDX 1.6. Raises as `lock`."""
        async with self._db.read() as connection:
            row = await self._find(connection, who, reference)
        lock = await self.lock(who, row["id"], number)
        return await asyncio.to_thread(_write_sbom, lock, row["name"], self._clock.now())

    async def check(self, who: Principal, reference: str | None, form: PackageCheck) -> Plan:
        """Return what installing packages comes to, in a workspace or, without one, by the platform's policy.

        Raises InvalidInput (`package-invalid`), Conflict (`package-unsolvable`), Unavailable (`packages-unavailable`).
        """
        specs = list(dict.fromkeys(str(read_spec(text)) for text in form.packages))
        if reference is None:
            who.require("package.check")
            return (await self._planner.plan(None, specs, form.ecosystem))[0]
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, reference, "environment.plan")
        return (await self._planner.plan(row["id"], specs, form.ecosystem))[0]

    async def _look(self, workspace_id: str, live: int | None) -> tuple[Lock, list[InstalledPackage]]:
        """Read an environment, unless nothing was installed since it was last read."""
        prefix = self._folders.environment(workspace_id)
        state = (live, await asyncio.to_thread(lambda: stamp_of(folders_of(prefix))))
        known = self._seen.pop(workspace_id, None)
        if known is None or known[0] != state:
            snapshot, lock = await self._locks.read(workspace_id, prefix)
            known = (state, lock, await asyncio.to_thread(_packages, prefix, snapshot, lock))
        self._seen[workspace_id] = known
        while len(self._seen) > _MOST_SEEN:
            self._seen.pop(next(iter(self._seen)))
        return known[1:]

    async def _find(self, connection: AsyncConnection, who: Principal, reference: str) -> RowMapping:
        return await self._workspaces.resolve(connection, who, reference, "environment.read")

    async def _get(self, who: Principal, reference: str, number: int) -> tuple[str, Build]:
        async with self._db.read() as connection:
            row = await self._find(connection, who, reference)
            build = await queries.find_build(connection, row["id"], number)
            live = await queries.find_live(connection, row["id"])
        if build is None:
            raise _no_build(row, number)
        return row["id"], self._wire(build, live["number"] if live is not None else None)

    def _wire(self, row: RowMapping, live: int | None) -> Build:
        lines = self._progress.lines(row["workspace_id"], row["number"])
        return build_of(row, live=live, progress=lines[-1] if lines else None)


def _packages(prefix: Path, snapshot: Snapshot, lock: Lock) -> list[InstalledPackage]:
    of_base = {(one.ecosystem, one.name, one.version, one.digest) for one in lock.packages if one.origin == "base"}
    return [
        InstalledPackage(
            ecosystem=one.ecosystem,
            name=one.name,
            version=one.version,
            from_base=(one.ecosystem, one.name, one.version, one.digest) in of_base,
            installed_at=_installed_at(prefix, one),
        )
        for one in sorted(snapshot.distributions, key=lambda one: one.name)
    ]


def _installed_at(prefix: Path, one: Distribution) -> datetime | None:
    place = prefix / one.folder
    try:
        # An installer's last act is the list of files.
        return datetime.fromtimestamp((place / "RECORD" if one.ecosystem == "pypi" else place).lstat().st_mtime, UTC)
    except OSError:
        return None


def _no_build(row: RowMapping, number: int | None) -> NotFound:
    return NotFound(
        "build-not-found",
        f"{row['name']!r} has no build {number}." if number is not None else f"{row['name']!r} has no build yet.",
        hint=f"studiolo environment history {row['name']} lists them.",
    )


def _write_sbom(lock: Lock, workspace: str, at: datetime) -> str:
    # Loaded where it is used, in a thread: the model of bills of materials takes long.
    from studiolo.server.environments.sbom import write_sbom

    return write_sbom(lock, workspace=workspace, at=at)
