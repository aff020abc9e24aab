"""Use cases of datasets: registered by administrators, read by sessions of those who may."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.datasets import Dataset, DatasetCreate, DatasetUpdate
from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import Page, PersonRef, WorkspaceRef
from studiolo.contract.names import check_name
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.repeat import repeat
from studiolo.server.accounts.service import Accounts
from studiolo.server.audit.service import Audit
from studiolo.server.datasets import queries
from studiolo.server.datasets.places import Places, Readable
from studiolo.server.principal import Principal
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces

_log = structlog.get_logger(__name__)
_MAX_PAGE = 200
_ALL = 100_000
_LOOK_SECONDS = 300.0


class Datasets:
    """Folders of the machine under names. Registering one changes no right on the machine: it only leads there."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        audit: Audit,
        accounts: Accounts,
        workspaces: Workspaces,
        folders: Folders,
        data_dir: Path,
    ) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._accounts = accounts
        self._workspaces = workspaces
        self._folders = folders
        self._places = Places(data_dir)
        self._readable: list[Readable] | None = None
        self._laying = asyncio.Lock()

    async def list_(
        self, who: Principal, *, everything: bool = False, cursor: str | None = None, limit: int = 50
    ) -> Page[Dataset]:
        """Return datasets by name: those that the caller may read somewhere, or all (administrators)."""
        who.require("dataset.list")
        limit = max(1, min(limit, _MAX_PAGE))
        person_id = None if everything and who.is_admin else who.person_id
        async with self._db.read() as connection:
            rows = await queries.list_datasets(connection, person_id=person_id, after=cursor, limit=limit + 1)
            items = await self._wires(connection, rows[:limit], in_full=who.is_admin)
        return Page(items=items, next_cursor=items[-1].name if len(rows) > limit else None)

    async def create(self, who: Principal, form: DatasetCreate) -> Dataset:
        """Register a folder. Raises InvalidInput (`name-invalid`, `folder-not-allowed`, `folder-not-found`,
        `request-invalid` without readers), Conflict (`dataset-exists`), NotFound (`person-not-found`, …).
        """
        who.require("dataset.create")
        check_name(form.name, what="dataset")
        folder = await asyncio.to_thread(self._check_folder, form.folder)
        if not (form.everybody or form.people or form.workspaces):
            raise InvalidInput(
                "request-invalid", "Nobody could read it.", hint="Name people or workspaces, or say everybody."
            )
        now = self._clock.now()
        values: dict[str, Any] = {
            "id": new_id(IdKind.DATASET),
            "name": form.name,
            "description": form.description,
            "folder": folder,
        }
        values |= {"everybody": form.everybody, "created_at": now, "modified_at": now}
        try:
            async with self._db.write() as tx:
                await queries.insert_dataset(tx.connection, values)
                await self._set_readers(tx.connection, who, values["id"], form.people, form.workspaces)
                await self._audit.record(tx, who, "dataset.create", form.name, topics=("datasets",), folder=folder)
                made = await self._find(tx.connection, form.name)
                (found,) = await self._wires(tx.connection, [made], in_full=True)
        except IntegrityError as exc:
            raise Conflict("dataset-exists", f"There is a dataset {form.name!r}.", hint="Choose another name.") from exc
        await self.load()
        return found

    async def update(self, who: Principal, reference: str, form: DatasetUpdate) -> Dataset:
        """Change a dataset; running sessions see it at once. Raises as `create`, and NotFound (`dataset-not-found`)."""
        who.require("dataset.update")
        changes = form.model_dump(exclude_none=True, include={"description", "everybody", "folder"})
        if form.folder is not None:
            changes["folder"] = await asyncio.to_thread(self._check_folder, form.folder)
        async with self._db.write() as tx:
            row = await self._find(tx.connection, reference)
            changes["modified_at"] = self._clock.now()
            await queries.update_dataset(tx.connection, row["id"], changes)
            await self._set_readers(tx.connection, who, row["id"], form.people, form.workspaces)
            await self._audit.record(tx, who, "dataset.update", row["name"], topics=("datasets",))
            (found,) = await self._wires(tx.connection, [await self._find(tx.connection, row["id"])], in_full=True)
        await self.load()
        return found

    async def delete(self, who: Principal, reference: str) -> None:
        """Take a dataset off the register; the folder stays as it is. Raises NotFound (`dataset-not-found`)."""
        who.require("dataset.delete")
        async with self._db.write() as tx:
            row = await self._find(tx.connection, reference)
            await queries.delete_dataset(tx.connection, row["id"])
            await self._audit.record(tx, who, "dataset.delete", row["name"], topics=("datasets",))
        await self.load()

    async def load_forever(self) -> None:
        """Read the register now, and now and then: another process may have changed it."""
        await repeat(self.load, every_seconds=_LOOK_SECONDS, failed="datasets-not-loaded")

    async def load(self) -> None:
        """Read who may read what, and bring the links of all workspaces up to date."""
        async with self._laying:
            async with self._db.read() as connection:
                rows = await queries.list_datasets(connection, person_id=None, after=None, limit=_ALL)
                ids = [row["id"] for row in rows]
                people = await queries.list_people(connection, ids)
                workspaces = await queries.list_workspaces(connection, ids)
            readable = [
                Readable(
                    row["name"],
                    row["folder"],
                    row["everybody"],
                    frozenset(person["id"] for person in people if person["dataset_id"] == row["id"]),
                    frozenset(one["id"] for one in workspaces if one["dataset_id"] == row["id"]),
                )
                for row in rows
            ]
            if readable != self._readable:
                self._readable = readable
                await asyncio.to_thread(self._places.lay_again, readable)

    def variables(self, row: RowMapping | Mapping[str, Any]) -> dict[str, str]:
        """Lay the links for a session or kernel that starts, and return the variable that leads to them.

        `row`: with `workspace_id` and `person_id`; with `workspace_root` also `datasets` beside the files is laid.
        """
        workspace_id, person_id = row["workspace_id"], row["person_id"]
        files = self._folders.of(workspace_id, row["workspace_root"]) if "workspace_root" in row else None
        try:
            # Before the register was read what lies there stays; it is brought up to date then.
            self._places.lay(self._readable, workspace_id, person_id, files)
            self._folders.give(workspace_id, self._places.of_workspace(workspace_id))
        except OSError as exc:
            # A session without datasets is better than none.
            _log.warning("datasets-not-laid", workspace=workspace_id, why=str(exc))
        return {"STUDIOLO_DATASETS": str(self._places.of_person(workspace_id, person_id))}

    def folders(self, row: RowMapping | Mapping[str, Any]) -> dict[str, Path]:
        """Return the folders that a session may read, by name; `row` as with `variables`."""
        readable = (one for one in self._readable or () if one.is_for(row["workspace_id"], row["person_id"]))
        return {one.name: Path(one.folder) for one in readable}

    def _check_folder(self, text: str) -> str:
        folder = self._folders.check_root(text, is_admin=True)
        if not os.access(folder, os.R_OK | os.X_OK) or not folder.is_dir():
            raise InvalidInput(
                "folder-not-found",
                f"{str(folder)!r} is no folder of the platform's machine that its account can read.",
                hint="Mount or make it first.",
            )
        return str(folder)

    async def _set_readers(
        self,
        connection: AsyncConnection,
        who: Principal,
        dataset_id: str,
        people: list[str] | None,
        workspaces: list[str] | None,
    ) -> None:
        if people is not None:
            found = [(await self._accounts.find_person(connection, name)).id for name in people]
            await queries.set_people(connection, dataset_id, found)
        if workspaces is not None:
            rows = [await self._workspaces.resolve(connection, who, name, "workspace.read") for name in workspaces]
            await queries.set_workspaces(connection, dataset_id, [row["id"] for row in rows])

    async def _find(self, connection: AsyncConnection, reference: str) -> RowMapping:
        row = await queries.find_dataset(connection, reference)
        if row is None:
            raise NotFound(
                "dataset-not-found", f"There is no dataset {reference[:64]!r}.", hint="studiolo datasets lists them."
            )
        return row

    async def _wires(self, connection: AsyncConnection, rows: list[RowMapping], *, in_full: bool) -> list[Dataset]:
        ids = [row["id"] for row in rows]
        people = await queries.list_people(connection, ids) if in_full else []
        workspaces = await queries.list_workspaces(connection, ids) if in_full else []
        there = await asyncio.to_thread(lambda: {row["id"]: os.access(row["folder"], os.R_OK) for row in rows})
        return [
            Dataset(
                id=row["id"],
                name=row["name"],
                description=row["description"],
                everybody=row["everybody"],
                folder=row["folder"] if in_full else None,
                people=[
                    PersonRef(id=one["id"], name=one["name"], display_name=one["display_name"])
                    for one in people
                    if one["dataset_id"] == row["id"]
                ]
                if in_full
                else None,
                workspaces=[
                    WorkspaceRef(id=one["id"], name=one["name"], owner=one["owner"])
                    for one in workspaces
                    if one["dataset_id"] == row["id"]
                ]
                if in_full
                else None,
                is_there=there[row["id"]],
                created_at=row["created_at"],
                modified_at=row["modified_at"],
            )
            for row in rows
        ]
