"""Copy a workspace: its files and configuration under a new name, with a fresh environment."""

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from studiolo.contract.details import Duplicate
from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import Workspace, WorkspaceCreate
from studiolo.contract.names import check_name
from studiolo.contract.sizes import describe_size
from studiolo.kit.copying import copy_folder
from studiolo.kit.db import Database, Transaction
from studiolo.runtime.acting import opened_by_owner, owner_of
from studiolo.server.principal import Principal
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.register import Register, already_exists, config_of
from studiolo.server.workspaces.service import Workspaces

# Left on the disk for everybody else.
_RESERVE_BYTES = 256 * 1024**2
# Larger trees are copied unmeasured; a disk that fills on the way is told as such.
_MEASURE = timedelta(seconds=60)


class Copies:
    """Makes copies of workspaces."""

    def __init__(self, db: Database, folders: Folders, register: Register, workspaces: Workspaces) -> None:
        self._db = db
        self._folders = folders
        self._register = register
        self._workspaces = workspaces
        # Takes along what others keep of a workspace: gets the original's id and the copy's.
        self.on_copying: Callable[[Transaction, str, str], Awaitable[None]] | None = None

    async def duplicate(self, who: Principal, reference: str, form: Duplicate) -> Workspace:
        """Copy a workspace; the caller owns the copy. Sessions of the original may run on.

        Raises Conflict (`workspace-exists`), Unavailable (`disk-full`, before anything is written where it can be
        foreseen).
        """
        who.require("workspace.create")
        check_name(form.name)
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "workspace.duplicate")
            if await queries.is_name_taken(connection, who.person_id, form.name):
                raise already_exists(form.name)
        copy_id = new_id(IdKind.WORKSPACE)
        await asyncio.to_thread(self._copy, self._folders.here(row), copy_id, row["name"])
        made, also = WorkspaceCreate(name=form.name, description=row["description"]), self.on_copying
        return await self._workspaces.add(
            who,
            made,
            config_of(row),
            None,
            workspace_id=copy_id,
            action="workspace.duplicate",
            within=(lambda tx: also(tx, row["id"], copy_id)) if also else None,
        )

    def _copy(self, source: Path, copy_id: str, name: str) -> None:
        target = self._folders.of(copy_id, None)
        part = self._folders.part_of(copy_id)
        target.parent.mkdir(parents=True, exist_ok=True)
        size = self._folders.measure(source, within=_MEASURE) or 0
        free = shutil.disk_usage(target.parent).free
        if size + _RESERVE_BYTES > free:
            raise _no_space(
                f"{name!r} has {describe_size(size)} of files and {describe_size(free)} of the disk are free"
            )
        try:
            _copy_as_owner(source, part)
            part.rename(target)
        except OSError as exc:
            with contextlib.suppress(OSError):
                shutil.rmtree(part)
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _no_space("The disk is full") from exc
            where = f"{exc.filename!r}: " if exc.filename else ""
            raise InvalidInput(
                "folder-not-found",
                f"The files of {name!r} could not be copied: {where}{exc.strerror or exc}. Nothing was copied.",
                hint="The platform's account must be able to read every file; `chmod u+r` or remove those it cannot.",
            ) from exc


def _copy_as_owner(source: Path, part: Path) -> None:
    """Copy what the owner of `source` may read into the new folder `part`, which is the owner's then."""
    part.mkdir(mode=0o700)
    owner = owner_of(source)
    if owner is not None:
        os.chown(part, *owner)
    with opened_by_owner(source) as here, opened_by_owner(part) as there:
        copy_folder(here, there)


def _no_space(what: str) -> Unavailable:
    return Unavailable(
        "disk-full", f"{what}; nothing was copied.", hint="Delete files or empty the trash, then try again."
    )
