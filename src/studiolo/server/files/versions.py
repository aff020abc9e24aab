"""Use cases of what files were: versions, how they differ, the trash of a workspace. Paths are those of the wire."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from studiolo.contract.errors import NotFound
from studiolo.contract.models import Page, PersonRef
from studiolo.contract.versions import DeletedFile, FileDifference, FileVersion, RestoredFile, VersionOrigin
from studiolo.files import past
from studiolo.files.names import to_wire
from studiolo.files.refusals import told
from studiolo.kit.cursors import read_cursor, write_cursor
from studiolo.kit.db import Database
from studiolo.runtime.history.trash import Discarded, Trash
from studiolo.runtime.history.versions import Version
from studiolo.server.audit.service import Audit
from studiolo.server.files.host import FileHost
from studiolo.server.files.queries import find_people
from studiolo.server.principal import Principal
from studiolo.server.settings.files import FileSettings
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces

T = TypeVar("T")
_ORIGINS = frozenset(VersionOrigin)


class FileVersions:
    """What files of a workspace were. Errors of `files.root.Root`, and NotFound (`version-not-found`)."""

    def __init__(
        self,
        db: Database,
        workspaces: Workspaces,
        folders: Folders,
        audit: Audit,
        host: FileHost,
        settings: FileSettings,
    ) -> None:
        self._db = db
        self._workspaces = workspaces
        self._folders = folders
        self._audit = audit
        self._host = host
        self._settings = settings

    async def list_(
        self, who: Principal, workspace: str, path: str, *, cursor: str | None = None, limit: int = 50
    ) -> Page[FileVersion]:
        """Return the versions of a file, newest first; a file that is gone still has some."""
        folder = await self._folder_of(who, workspace)
        found, now = await asyncio.to_thread(past.list_versions, folder, path)
        page, next_cursor = _page([(version.id, version) for version in found], cursor, limit)
        names = await self._names(version.by for version in page)
        items = [_version(version, names, is_current=version.hash == now) for version in page]
        return Page(items=items, next_cursor=next_cursor)

    async def content(self, who: Principal, workspace: str, path: str, version_id: str) -> bytes:
        """Return what a version holds."""
        folder = await self._folder_of(who, workspace)
        return await asyncio.to_thread(past.read_content, folder, path, version_id)

    async def difference(
        self, who: Principal, workspace: str, path: str, *, before: str, after: str = past.NOW
    ) -> FileDifference:
        """Return how a file differs between two versions, each an id or `now`. Raises Unavailable of the file host."""
        folder = await self._folder_of(who, workspace)
        asked = {"path": path, "from": before, "to": after}
        return FileDifference.model_validate_json(await self._host.ask("difference", folder, asked))

    async def restore(self, who: Principal, workspace: str, path: str, version_id: str) -> FileVersion:
        """Have a file be what a version holds. What it holds now is kept as a version, and so is what it gets."""

        def restore(folder: Path) -> Version:
            return past.restore_version(folder, path, version_id, by=who.person_id)

        made = await self._change(who, workspace, "file.restore", restore, path=path)
        return _version(made, {who.person_id: who.ref}, is_current=True)

    async def list_trash(
        self, who: Principal, workspace: str, *, cursor: str | None = None, limit: int = 50
    ) -> Page[DeletedFile]:
        """Return what was deleted from a workspace and can come back, newest first."""
        folder = await self._folder_of(who, workspace)
        found = await asyncio.to_thread(lambda: Trash(folder).list_())
        page, next_cursor = _page([(what.id, what) for what in found], cursor, limit)
        names = await self._names(what.by for what in page)
        return Page(items=[self._deleted(what, names) for what in page], next_cursor=next_cursor)

    async def restore_deleted(self, who: Principal, workspace: str, trash_id: str) -> RestoredFile:
        """Bring something back from the trash. Raises NotFound (`deleted-file-not-found`)."""
        what = await self._find_deleted(who, workspace, trash_id, "file.restore")

        def restore(folder: Path) -> str:
            try:
                with told(what.path):
                    return Trash(folder).restore(trash_id)
            except NotFound as exc:
                raise _no_such_deleted(trash_id) from exc

        path = await self._change(who, workspace, "file.restore", restore, path=to_wire(what.path))
        return RestoredFile(path=to_wire(path))

    async def erase(self, who: Principal, workspace: str, trash_id: str) -> None:
        """Erase something in the trash for good. Raises NotFound (`deleted-file-not-found`)."""
        what = await self._find_deleted(who, workspace, trash_id, "file.erase")

        def erase(folder: Path) -> None:
            with told(what.path):
                Trash(folder).erase(trash_id)

        await self._change(who, workspace, "file.erase", erase, path=to_wire(what.path))

    async def _find_deleted(self, who: Principal, workspace: str, trash_id: str, operation: str) -> Discarded:
        folder = await self._folder_of(who, workspace, operation)
        what = await asyncio.to_thread(lambda: Trash(folder).find(trash_id))
        if what is None:
            raise _no_such_deleted(trash_id)
        return what

    async def _folder_of(self, who: Principal, workspace: str, operation: str = "file.read") -> Path:
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, workspace, operation)
        return self._folders.here(row)

    async def _change(
        self, who: Principal, workspace: str, action: str, effect: Callable[[Path], T], **detail: str
    ) -> T:
        """Record something and do it, in a thread, as the last thing before the commit."""
        async with self._db.write() as tx:
            row = await self._workspaces.resolve(tx.connection, who, workspace, action)
            topics = (f"workspace:{row['id']}",)
            await self._audit.record(tx, who, action, row["name"], workspace_id=row["id"], topics=topics, **detail)
            return await asyncio.to_thread(effect, self._folders.here(row))

    async def _names(self, ids: Iterable[str]) -> dict[str, PersonRef]:
        wanted = {person_id for person_id in ids if person_id}
        if not wanted:
            return {}
        async with self._db.read() as connection:
            return await find_people(connection, wanted)

    def _deleted(self, what: Discarded, names: dict[str, PersonRef]) -> DeletedFile:
        at = _moment(what.at)
        return DeletedFile(
            id=what.id,
            path=to_wire(what.path),
            deleted_at=at,
            erased_after=at + self._settings.keep_trash,
            by=names.get(what.by),
            size=what.size,
        )


def _version(version: Version, names: dict[str, PersonRef], *, is_current: bool) -> FileVersion:
    return FileVersion(
        id=version.id,
        path=to_wire(version.path),
        at=_moment(version.at),
        hash=version.hash,
        size=version.size,
        by=names.get(version.by),
        origin=VersionOrigin(version.how) if version.how in _ORIGINS else VersionOrigin.OUTSIDE,
        is_current=is_current,
    )


def _page(items: list[tuple[str, T]], cursor: str | None, limit: int) -> tuple[list[T], str | None]:
    """Return a page of what is ordered by id, newest first, and where the next begins."""
    after = read_cursor(cursor)
    rest = [(key, item) for key, item in items if after is None or key < after[0]]
    page = rest[:limit]
    more = write_cursor(page[-1][0], "") if len(rest) > limit else None
    return [item for _, item in page], more


def _moment(seconds: float) -> datetime:
    # What a member wrote into the log may be no time at all.
    bounded = timedelta(seconds=min(max(seconds, 0.0), 4e9))
    return datetime(1970, 1, 1, tzinfo=UTC) + bounded


def _no_such_deleted(trash_id: str) -> NotFound:
    return NotFound(
        "deleted-file-not-found",
        f"There is nothing of the id {trash_id[:40]!r} in this workspace's trash.",
        hint="Somebody may have brought it back or erased it meanwhile.",
    )
