"""Put a workspace back: its environment, its caches, and with their owner's word its files."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import RowMapping

from studiolo.contract.details import Reset
from studiolo.contract.errors import InvalidInput
from studiolo.contract.models import EnvironmentState, Workspace
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.runtime.acting import owner_of
from studiolo.server.principal import Principal
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.register import Register


class Resets:
    """Takes away what can be made again. `spoil` has an environment made anew, whatever happens to us then."""

    def __init__(
        self, db: Database, clock: Clock, folders: Folders, register: Register, *, spoil: Callable[[Path], None]
    ) -> None:
        self._db = db
        self._clock = clock
        self._folders = folders
        self._register = register
        self._spoil = spoil
        self.on_reset: Callable[[str], None] = lambda workspace_id: None

    async def reset(
        self,
        who: Principal,
        reference: str,
        form: Reset,
        *,
        stop_sessions: bool = False,
        revision: int | None = None,
    ) -> Workspace:
        """Have the environment made anew. `form.hard` also ends sessions, with their kernels, and clears caches.

        Raises Conflict (`workspace-busy`, `workspace-changed`), InvalidInput (`confirmation-needed`,
        `folder-not-allowed`).
        """
        stop = stop_sessions or form.hard
        async with self._db.write() as tx:
            row = await self._register.resolve_to_change(tx, who, reference, "workspace.reset", revision=revision)
            if form.delete_files:
                _check_deletion(row, form)
            await self._register.check_quiet(tx.connection, row, but_not=stop, remedy="hard (--hard), which ends them")
            await self._register.sessions.stop_all(tx, who, row["id"], person_id=None, code="workspace-reset")
            # Before the commit: were it afterwards, a kill in between would leave the old one as if it were the new.
            self._spoil(self._folders.environment(row["id"]))
            pending = {"environment_state": EnvironmentState.PENDING.value, "environment_message": None}
            asked = {"hard": form.hard, "delete_files": form.delete_files}
            await self._register.change(tx, who, row, "workspace.reset", pending, **asked)
            tx.after_commit(lambda: self.on_reset(row["id"]))
        if form.hard:
            await asyncio.to_thread(self._clear, row["id"])
        if form.delete_files:
            await asyncio.to_thread(self._delete_files, row)
        async with self._db.read() as connection:
            return await self._register.wire(connection, who, row["id"])

    async def clear_cache(self, who: Principal, reference: str) -> int:
        """Delete what tools can make or load again; returns the bytes freed. Files of people stay."""
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "workspace.reset")
        freed = await asyncio.to_thread(self._clear, row["id"])
        async with self._db.write() as tx:
            await self._register.record(tx, who, "workspace.clear-cache", row["name"], row["id"], freed=freed)
        return freed

    def _clear(self, workspace_id: str) -> int:
        freed = 0
        for cache in self._folders.caches(workspace_id):
            freed += self._folders.measure(cache) or 0
            shutil.rmtree(cache, ignore_errors=True)
        return freed

    def _delete_files(self, row: RowMapping) -> None:
        folder = self._folders.of(row["id"], None)
        owner = owner_of(folder)
        self._folders.discard_files(row["id"], self._clock.now())
        self._folders.prepare(folder, row["name"], owner)


def _check_deletion(row: RowMapping, form: Reset) -> None:
    if row["root"] is not None:
        raise InvalidInput(
            "folder-not-allowed",
            f"The files of {row['name']!r} lie in {row['root']}, which is not the platform's to delete.",
            hint="Delete them there, or reset without delete_files.",
        )
    if form.confirm != row["name"]:
        raise InvalidInput(
            "confirmation-needed",
            f"Deleting all files must be confirmed with the workspace's name, {row['name']!r}.",
            hint=f"Repeat with confirm={row['name']}, or leave delete_files out.",
        )
