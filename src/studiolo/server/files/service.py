"""Use cases of files: list, look, make folders, move, copy, delete. Bytes are the file host's (docs/decisions/006).

Each change is authorised, recorded and made in one transaction, the effect last: a rename, which can be no half.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from studiolo.contract.files import FileEntry, FileSort
from studiolo.files import tree
from studiolo.files.listing import describe
from studiolo.files.root import Root, opened_root
from studiolo.kit.db import Database
from studiolo.server.audit.service import Audit
from studiolo.server.files.host import FileHost
from studiolo.server.principal import Principal
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces

T = TypeVar("T")


class Files:
    """Files of workspaces. Paths are those of the wire (see `files.names`); errors as of `files.root.Root`."""

    def __init__(self, db: Database, workspaces: Workspaces, folders: Folders, audit: Audit, host: FileHost) -> None:
        self._db = db
        self._workspaces = workspaces
        self._folders = folders
        self._audit = audit
        self._host = host

    async def folder_of(self, who: Principal, workspace: str, operation: str = "file.read") -> Path:
        """Return where a workspace's files lie, for somebody who may do `operation` there."""
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, workspace, operation)
        return self._folders.here(row)

    async def list_(
        self,
        who: Principal,
        workspace: str,
        path: str = "",
        *,
        cursor: str | None = None,
        limit: int = 200,
        text: str | None = None,
        sort: FileSort = FileSort.NAME,
    ) -> bytes:
        """Return a page of a folder as the JSON of a Page[FileEntry]: it is large, and nobody here reads it."""
        asked = {"path": path, "cursor": cursor, "limit": limit, "filter": text or None, "sort": sort.value}
        return await self._host.ask("list", await self.folder_of(who, workspace), asked)

    async def info(self, who: Principal, workspace: str, path: str) -> FileEntry:
        """Return what a path names, a link itself."""
        found = await self._host.ask("info", await self.folder_of(who, workspace), {"path": path})
        return FileEntry.model_validate_json(found)

    async def make_folder(self, who: Principal, workspace: str, path: str) -> FileEntry:
        """Make a folder and those on the way. Raises Conflict (`file-exists`)."""

        def make(root: Root) -> FileEntry:
            tree.make_folder(root, path)
            return describe(root, path)

        return await self._change(who, workspace, "file.mkdir", make, path=path)

    async def move(self, who: Principal, workspace: str, path: str, to: str) -> FileEntry:
        """Move or rename. Raises Conflict (`file-exists`), InvalidInput (`folder-into-itself`)."""

        def move(root: Root) -> FileEntry:
            tree.move(root, path, to)
            return describe(root, to)

        return await self._change(who, workspace, "file.move", move, path=path, to=to)

    async def copy(self, who: Principal, workspace: str, path: str, to: str) -> FileEntry:
        """Copy a file or folder. Raises Conflict (`file-exists`), InvalidInput (`folder-into-itself`)."""
        folder = await self.folder_of(who, workspace, "file.write")
        async with opened_root(folder) as root:
            tree.check_apart(path, to)
            await root.in_thread(tree.check_free, root, to)
            # What takes long is done before, aside; only the rename is part of the transaction.
            copied = tree.copied(root, path)
            aside = await root.in_thread(copied.__enter__)
            try:

                def place(root: Root) -> FileEntry:
                    tree.place_copy(root, aside, to)
                    return describe(root, to)

                return await self._change(who, workspace, "file.copy", place, path=path, to=to)
            finally:
                await root.in_thread(copied.__exit__, None, None, None)

    async def delete(self, who: Principal, workspace: str, path: str) -> str:
        """Put a file or folder into the workspace's trash; returns its id there."""
        return await self._change(
            who, workspace, "file.delete", lambda root: tree.discard(root, path, by=who.person_id), path=path
        )

    async def _change(
        self, who: Principal, workspace: str, action: str, effect: Callable[[Root], T], **detail: str
    ) -> T:
        """Record something and do it, in a thread, as the last thing before the commit."""
        async with self._db.write() as tx:
            row = await self._workspaces.resolve(tx.connection, who, workspace, "file.write")
            topics = (f"workspace:{row['id']}",)
            await self._audit.record(tx, who, action, row["name"], workspace_id=row["id"], topics=topics, **detail)
            return await asyncio.to_thread(_in_root, self._folders.here(row), effect)


def _in_root(folder: Path, effect: Callable[[Root], T]) -> T:
    with Root(folder) as root:
        return effect(root)
