"""Make a workspace from an archive of another installation, or from any zip of files."""

import asyncio
import contextlib
import errno
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from studiolo.contract.archives import DESCRIPTION, ArchivedPolicy, Imported, WorkspaceArchive
from studiolo.contract.details import WorkspaceConfig
from studiolo.contract.errors import InvalidInput, LimitReached, StudioloError, Unavailable
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import Workspace, WorkspaceCreate
from studiolo.contract.names import check_name
from studiolo.contract.operations import Role
from studiolo.contract.sizes import describe_size
from studiolo.files.unpacking import Unpacked, unpack
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts.service import Accounts
from studiolo.server.principal import Principal
from studiolo.server.settings.workspaces import WorkspaceSettings
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.archived_policies import ArchivedPolicies
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.register import already_exists
from studiolo.server.workspaces.service import Workspaces


@dataclass(frozen=True)
class _Plan:
    """What comes of an archive's description here."""

    form: WorkspaceCreate
    config: WorkspaceConfig
    members: dict[str, Role]
    known: list[str]
    unknown: list[str]
    packages: list[str]
    policies: list[ArchivedPolicy]
    lock: str


class Imports:
    """Makes workspaces from archives. Nothing is there before all of it is."""

    def __init__(
        self, db: Database, folders: Folders, accounts: Accounts, workspaces: Workspaces, settings: WorkspaceSettings
    ) -> None:
        self._db = db
        self._folders = folders
        self._accounts = accounts
        self._workspaces = workspaces
        self._settings = settings
        self.policies: ArchivedPolicies | None = None
        # Asks for a build of a workspace by the text of a lock, and returns its number; set by the composition root.
        self.restore: Callable[[Principal, str, str], Awaitable[int]] | None = None

    async def import_(self, who: Principal, archive: AsyncIterator[bytes], *, name: str | None = None) -> Imported:
        """Make a workspace of what an archive holds; the caller owns it. `name` counts over the archive's own.

        Raises InvalidInput (`archive-invalid`, `name-invalid`, …), LimitReached (`archive-too-large`), Conflict
        (`workspace-exists`), Unavailable (`disk-full`). What its policy there was narrows here, or the import is
        refused (InvalidInput, `policy-invalid`).
        """
        who.require("workspace.import")
        who.require("workspace.create")
        if name is not None:
            await self._check_free(who, name)
        made_id = new_id(IdKind.WORKSPACE)
        part = self._folders.part_of(made_id)
        try:
            await asyncio.to_thread(part.mkdir, 0o700, parents=True)
            await self._receive(archive, part / "archive")
            unpacked = await asyncio.to_thread(self._unpack, part)
            plan = await self._plan(who, unpacked, name)
            await self._check_free(who, plan.form.name)
            await asyncio.to_thread((part / "files").rename, self._folders.of(made_id, None))
            workspace = await self._workspaces.add(
                who,
                plan.form,
                plan.config,
                None,
                workspace_id=made_id,
                action="workspace.import",
                members=plan.members,
                within=self._with_policies(who, made_id, plan.policies),
            )
        except OSError as exc:
            raise _unwritten(exc) from exc
        finally:
            await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)
        build = await self._restore(who, workspace, plan.lock, unpacked)
        return Imported(
            workspace=workspace,
            build=build,
            files=unpacked.files,
            size_bytes=unpacked.size_bytes,
            members=plan.known,
            unknown_members=plan.unknown,
            packages=plan.packages,
            left_out=unpacked.left_out,
        )

    async def _restore(self, who: Principal, workspace: Workspace, lock: str, unpacked: Unpacked) -> int | None:
        """Ask for the environment that the lock names; None where there is none, or it cannot be."""
        if not lock or self.restore is None:
            return None
        try:
            return await self.restore(who, workspace.id, lock)
        except StudioloError as problem:
            # The files are here; what is missing can be installed by name.
            unpacked.leave_out("environment", problem.message)
            return None

    def _with_policies(
        self, who: Principal, made_id: str, policies: list[ArchivedPolicy]
    ) -> Callable[[Transaction], Awaitable[None]] | None:
        keeper = self.policies
        return (lambda tx: keeper.from_archive(tx, who, made_id, policies)) if keeper is not None else None

    async def _check_free(self, who: Principal, name: str) -> None:
        check_name(name)
        async with self._db.read() as connection:
            if await queries.is_name_taken(connection, who.person_id, name):
                raise already_exists(name)

    async def _receive(self, archive: AsyncIterator[bytes], path: Path) -> None:
        size = 0
        with path.open("xb") as file:
            async for piece in archive:
                size += len(piece)
                if size > self._settings.import_max_bytes:
                    raise LimitReached(
                        "archive-too-large",
                        f"The archive is larger than {describe_size(self._settings.import_max_bytes)}, the limit here.",
                        hint="An administrator can raise workspaces.import_max_bytes.",
                    )
                await asyncio.to_thread(file.write, piece)

    def _unpack(self, part: Path) -> Unpacked:
        return unpack(
            part / "archive",
            part / "files",
            description=DESCRIPTION,
            max_bytes=self._settings.import_max_bytes,
            max_entries=self._settings.import_max_entries,
        )

    async def _plan(self, who: Principal, unpacked: Unpacked, name: str | None) -> _Plan:
        told = _read(unpacked)
        if name is None and told is None:
            raise InvalidInput(
                "name-invalid",
                "The archive does not say how its workspace is called.",
                hint="Give a name: studiolo import FILE --name NAME.",
            )
        form = WorkspaceCreate(
            name=name or (told.name if told else ""),
            description=told.description if told else "",
            config_file=(told.config_file or None) if told else None,
        )
        config = WorkspaceConfig()
        try:
            config = await self._workspaces.read_configuration(form)
        except StudioloError as problem:
            # What was possible there may not be here; the files matter more.
            unpacked.leave_out("configuration", problem.message)
        members, known, unknown = await self._find_members(who, told)
        policies = told.policies if told else []
        if self.policies is not None:
            self.policies.check_archived(policies)
        # Where nothing had been added, the base here is what there is to have.
        lock = told.lock if told is not None and told.packages else ""
        return _Plan(form, config, members, known, unknown, told.packages if told else [], policies, lock)

    async def _find_members(
        self, who: Principal, told: WorkspaceArchive | None
    ) -> tuple[dict[str, Role], list[str], list[str]]:
        members: dict[str, Role] = {}
        known, unknown = [], []
        async with self._db.read() as connection:
            for member in told.members if told else ():
                person = None
                # A name is no address: whoever has that name here is somebody else.
                if "@" in member.email:
                    with contextlib.suppress(StudioloError):
                        person = await self._accounts.find_person(connection, member.email)
                if person is None:
                    unknown.append(member.email)
                elif person.id != who.person_id:
                    members[person.id] = member.role
                    known.append(member.email)
        return members, known, unknown


def _read(unpacked: Unpacked) -> WorkspaceArchive | None:
    if unpacked.description is None:
        return None
    try:
        return WorkspaceArchive.model_validate_json(unpacked.description)
    except ValidationError as exc:
        raise InvalidInput(
            "archive-invalid",
            f"The archive's {DESCRIPTION} cannot be read. Nothing was imported.",
            hint="It may come from a newer Studiolo.",
            detail=str(exc),
        ) from exc


def _unwritten(exc: OSError) -> StudioloError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable("disk-full", "The disk is full; nothing was imported.", hint="Free space, then try again.")
    return Unavailable("read-only", f"The archive could not be stored: {exc.strerror or exc}.", detail=repr(exc))
