"""Deleted workspaces: seen, brought back, erased; and what is emptied by itself when its time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError

from studiolo.contract.details import TrashedWorkspace
from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.contract.models import EnvironmentState, Page, PersonRef, Workspace
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import read_cursor, write_cursor
from studiolo.kit.db import Database, Transaction
from studiolo.kit.repeat import repeat
from studiolo.server.principal import PLATFORM, Principal
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.register import Register

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 600.0
# Beyond this nobody copies a workspace any more.
_LONGEST_COPY = timedelta(days=1)
_MAX_PAGE = 200
# An environment may be tens of thousands of files, which a busy disk takes a minute for.
_REMOVAL_SECONDS = 5.0


class Trash:
    """Keeps deleted workspaces for a while. Each step may be repeated after a kill."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        access: Access,
        folders: Folders,
        register: Register,
        *,
        remove_environment: Callable[[Path], None],
        release: Callable[[Transaction, RowMapping], Awaitable[None]],
        retention: timedelta,
    ) -> None:
        self._db = db
        self._clock = clock
        self._access = access
        self._folders = folders
        self._register = register
        self._remove_environment = remove_environment
        # Has engines let go of the files that they keep of a workspace.
        self._release = release
        self._retention = retention
        self._removals: set[asyncio.Future[None]] = set()
        self.on_restored: Callable[[str], None] = lambda workspace_id: None

    async def list_(self, who: Principal, *, cursor: str | None = None, limit: int = 50) -> Page[TrashedWorkspace]:
        """Return the caller's deleted workspaces by name."""
        who.require("trash.list")
        limit = max(1, min(limit, _MAX_PAGE))
        async with self._db.read() as connection:
            rows = await queries.list_trash_of(
                connection, who.person_id, only=who.workspace_id, after=read_cursor(cursor), limit=limit + 1
            )
        items = [self._wire(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(items=items, next_cursor=write_cursor(items[-1].name, items[-1].id) if more else None)

    async def restore(self, who: Principal, workspace_id: str) -> Workspace:
        """Bring one back with its files and members; its environment is made anew if it is gone.

        Raises NotFound (`trash-not-found`), Conflict (`workspace-exists`) if its name is in use again.
        """
        who.require("trash.restore")
        try:
            async with self._db.write() as tx:
                row = await self._find(tx, who, workspace_id)
                await queries.free_name(tx.connection, row["owner_id"], row["name"])
                await queries.restore_workspace(
                    tx.connection,
                    row["id"],
                    revision=row["revision"] + 1,
                    modified_at=self._clock.now(),
                    environment_state=EnvironmentState.PENDING.value,
                )
                await self._register.record(tx, who, "workspace.restore", row["name"], row["id"])
                tx.after_commit(self._access.forget)
                tx.after_commit(lambda: self.on_restored(workspace_id))
                return await self._register.wire(tx.connection, who, row["id"])
        except IntegrityError as exc:
            raise Conflict(
                "workspace-exists",
                f"The name {row['name']!r} is in use again; the deleted workspace stays in the trash.",
                hint="Rename the workspace that has the name now, then restore again.",
            ) from exc

    async def erase(self, who: Principal, workspace_id: str, *, confirm: str | None) -> None:
        """Erase one now, for good; `confirm` is its name.

        Raises NotFound (`trash-not-found`), InvalidInput (`confirmation-needed`), Conflict (`workspace-busy`).
        """
        who.require("trash.erase")
        async with self._db.write() as tx:
            row = await self._find(tx, who, workspace_id)
            if confirm != row["name"]:
                raise InvalidInput(
                    "confirmation-needed",
                    f"Erasing cannot be undone: confirm with the workspace's name, {row['name']!r}.",
                    hint=f"Repeat with confirm={row['name']}.",
                )
            await self._register.check_quiet(tx.connection, row)
            await self._mark(tx, who, row)
        await self._remove_soon(workspace_id)

    async def erase_everything(self, who: Principal) -> None:
        """Erase all deleted workspaces of everybody at once, for an administrator who needs the space."""
        who.require("disk.free")
        async with self._db.read() as connection:
            rows = await queries.list_trash(connection)
            in_use = await self._register.sessions.list_workspaces_in_use(connection)
        for row in rows:
            if row["id"] not in in_use:
                await self._erase(who, row)

    async def empty_forever(self) -> None:
        """Look now and then."""
        await repeat(self.empty, every_seconds=_EVERY_SECONDS, failed="trash-not-emptied")

    async def empty(self) -> None:
        """Erase what is due; a workspace whose sessions still end is left for the next time."""
        on_disk = await asyncio.to_thread(self._folders.list_ids)
        async with self._db.read() as connection:
            left = await queries.list_erased(connection, on_disk)
            rows = await queries.list_trash(connection)
            in_use = await self._register.sessions.list_workspaces_in_use(connection)
        for workspace_id in left:
            # Killed between the record and the removal.
            await asyncio.to_thread(self._remove, workspace_id)
        for row in rows:
            if row["id"] not in in_use:
                await self._empty_one(row)
        await asyncio.to_thread(self._folders.erase_discarded, self._clock.now() - self._retention)
        await asyncio.to_thread(self._folders.erase_parts, self._clock.now() - _LONGEST_COPY)

    async def _empty_one(self, row: RowMapping) -> None:
        if row["deleted_at"] + self._retention > self._clock.now():
            # It can be made again. A restore meanwhile has it made again, too.
            await asyncio.to_thread(self._remove_environment, self._folders.environment(row["id"]))
            return
        await self._erase(PLATFORM, row)

    async def _erase(self, who: Principal, row: RowMapping) -> None:
        async with self._db.write() as tx:
            if not await self._mark(tx, who, row):
                return
        await asyncio.to_thread(self._remove, row["id"])

    async def _mark(self, tx: Transaction, who: Principal, row: RowMapping) -> bool:
        """Record the erasure before the files go, so that nobody restores half of them; False if it was restored."""
        if not await queries.mark_erased(tx.connection, row["id"], self._clock.now()):
            return False
        await self._register.record(tx, who, "workspace.erase", row["name"], row["id"])
        await self._release(tx, row)
        return True

    async def _remove_soon(self, workspace_id: str) -> None:
        """Remove what is on disk; what takes long goes on without anybody waiting, and a kill leaves it to `empty`."""
        removal = asyncio.ensure_future(asyncio.to_thread(self._remove, workspace_id))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)
        await asyncio.wait((removal,), timeout=_REMOVAL_SECONDS)
        if removal.done():
            removal.result()

    def _remove(self, workspace_id: str) -> None:
        # Its files last: by them `empty` finds what is left after a kill.
        self._remove_environment(self._folders.environment(workspace_id))
        self._folders.erase_files(workspace_id)

    async def _find(self, tx: Transaction, who: Principal, workspace_id: str) -> RowMapping:
        await queries.lock(tx.connection, workspace_id)
        row = await queries.find_trashed(tx.connection, who.person_id, workspace_id)
        if row is None or who.workspace_id not in (None, workspace_id):
            raise NotFound(
                "trash-not-found",
                f"There is no workspace {workspace_id[:40]!r} in your trash.",
                hint="studiolo trash shows what is there; what was erased is gone.",
            )
        return row

    def _wire(self, row: RowMapping) -> TrashedWorkspace:
        return TrashedWorkspace(
            id=row["id"],
            name=row["name"],
            owner=PersonRef(id=row["owner_id"], name=row["owner_name"], display_name=row["owner_display_name"]),
            deleted_at=row["deleted_at"],
            erased_after=row["deleted_at"] + self._retention,
        )
