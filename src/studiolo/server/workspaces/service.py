"""Use cases of workspaces: list, create, see, rename or describe, delete."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.details import WorkspaceConfig
from studiolo.contract.errors import InvalidInput
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import AuditEvent, EnvironmentState, Page, Workspace, WorkspaceCreate, WorkspaceUpdate
from studiolo.contract.names import check_name, suggest_name
from studiolo.contract.operations import Role
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import read_cursor, write_cursor
from studiolo.kit.db import Database, Transaction
from studiolo.server.audit.service import Audit
from studiolo.server.principal import Principal
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.config_file import read_config_file
from studiolo.server.workspaces.configuration import configuration_of
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.owners import Owners
from studiolo.server.workspaces.register import Register, already_exists, config_of
from studiolo.server.workspaces.sizes import Sizes, stored

MAX_PAGE = 200


class Workspaces:
    """Workspaces as their people see them."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        audit: Audit,
        access: Access,
        folders: Folders,
        register: Register,
        sizes: Sizes,
        owners: Owners,
    ) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._access = access
        self._folders = folders
        self._register = register
        self._sizes = sizes
        self._owners = owners
        self.on_created: Callable[[str], None] = lambda workspace_id: None
        self.more_variables: Callable[[RowMapping | Mapping[str, Any]], dict[str, str]] = lambda row: {}

    async def list_(
        self,
        who: Principal,
        *,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        everything: bool = False,
    ) -> Page[Workspace]:
        """Return a page by name: those the caller belongs to, or all (administrators)."""
        who.require("workspace.list")
        after = read_cursor(cursor)
        limit = max(1, min(limit, MAX_PAGE))
        async with self._db.read() as connection:
            rows = await queries.list_page(
                connection,
                who.person_id,
                everything=everything and who.is_admin,
                text=text,
                after=after,
                limit=limit + 1,
            )
            rows, more = rows[:limit], len(rows) > limit
            if who.workspace_id is not None:
                rows = [row for row in rows if row["id"] == who.workspace_id]
            items = await self._register.wires(connection, rows)
        return Page(items=items, next_cursor=write_cursor(rows[-1]["name"], rows[-1]["id"]) if more and rows else None)

    async def create(self, who: Principal, form: WorkspaceCreate) -> Workspace:
        """Create a workspace; raises InvalidInput (name, folder, configuration), Conflict (`workspace-exists`)."""
        who.require("workspace.create")
        check_name(form.name)
        root = self._folders.check_root(form.root, is_admin=who.is_admin) if form.root else None
        return await self.add(who, form, await self.read_configuration(form), str(root) if root else None)

    async def read_configuration(self, form: WorkspaceCreate) -> WorkspaceConfig:
        """Return what a request and its `config_file` configure, checked against what there is.

        Raises InvalidInput (`config-invalid`, `request-invalid`, `profile-unknown`, `python-not-found`, …),
        LimitReached (`limit-exceeded`, `capacity-exceeded`).
        """
        of_file = await asyncio.to_thread(read_config_file, form.config_file) if form.config_file else WorkspaceConfig()
        return await self._sizes.settle(configuration_of(form, of_file))

    async def add(
        self,
        who: Principal,
        form: WorkspaceCreate,
        config: WorkspaceConfig,
        root: str | None,
        *,
        workspace_id: str | None = None,
        action: str = "workspace.create",
        members: Mapping[str, Role] | None = None,
        within: Callable[[Transaction], Awaitable[None]] | None = None,
    ) -> Workspace:
        """Add the workspace of a checked request. `workspace_id`: of the folder where its files lie already.

        `members`: roles of others, by id of the person. `within`: what else belongs to the transaction.
        """
        now, made_id = self._clock.now(), workspace_id or new_id(IdKind.WORKSPACE)
        values: dict[str, Any] = {
            "id": made_id,
            "owner_id": who.person_id,
            "name": form.name,
            "description": form.description,
            "root": root,
            "created_at": now,
            "modified_at": now,
            "config": stored(config),
            "environment_state": EnvironmentState.PENDING.value,
        }
        # Before the row: a folder without a row harms nobody, a row without its folder would.
        owner = await self._owners.give(made_id) if root is None else None
        await asyncio.to_thread(self._folders.prepare, self._folders.of(made_id, root), form.name, owner)
        try:
            async with self._db.write() as tx:
                await queries.free_name(tx.connection, who.person_id, form.name)
                await queries.insert_workspace(tx.connection, values)
                for person_id, role in (members or {}).items():
                    await queries.set_member(
                        tx.connection, made_id, person_id, role, now, through="given", given_by=who.person_id or None
                    )
                if within is not None:
                    await within(tx)
                await self._register.record(tx, who, action, form.name, made_id, root=root)
                tx.after_commit(self._access.forget)
                tx.after_commit(lambda: self.on_created(made_id))
                return await self._register.wire(tx.connection, who, made_id)
        except IntegrityError as exc:
            await asyncio.to_thread(self._folders.erase_files, made_id)
            raise already_exists(form.name) from exc

    async def get(self, who: Principal, reference: str) -> Workspace:
        """Return one workspace by id, `owner/name` or name, also one that it had (see `register.is_former`)."""
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "workspace.read")
            return (await self._register.wires(connection, [row]))[0]

    async def get_or_create_for(self, who: Principal, reference: str) -> Workspace:
        """Return the workspace that a name or a folder (an absolute path) stands for, making the latter's."""
        if not reference.startswith("/"):
            return await self.get(who, reference)
        folder = self._folders.check_root(reference, is_admin=who.is_admin)
        async with self._db.read() as connection:
            row = await queries.find_by_root(connection, who.person_id, str(folder))
            if row is not None:
                return (await self._register.wires(connection, [row]))[0]
            taken = set(await queries.list_names(connection, who.person_id, everything=False))
        base = suggest_name(folder.name) or "folder"
        name = next(n for n in (base, *(f"{base}-{i}" for i in range(2, 10_000))) if n not in taken)
        try:
            check_name(name)
        except InvalidInput:
            name = f"my-{name}"[:63]
        return await self.create(who, WorkspaceCreate(name=name, root=str(folder)))

    async def update(
        self, who: Principal, reference: str, form: WorkspaceUpdate, *, revision: int | None = None
    ) -> Workspace:
        """Rename or describe; an old name leads here on. Raises Conflict (`workspace-exists`, `workspace-changed`)."""
        changes = {k: v for k, v in form.model_dump(exclude_unset=True).items() if v is not None}
        if "name" in changes:
            check_name(changes["name"])
        try:
            async with self._db.write() as tx:
                row = await self._register.resolve_to_change(tx, who, reference, "workspace.update", revision=revision)
                if changes.get("name", row["name"]) != row["name"]:
                    now = self._clock.now()
                    await queries.free_name(tx.connection, row["owner_id"], changes["name"])
                    await queries.add_former_name(tx.connection, row["owner_id"], row["name"], row["id"], now)
                await self._register.change(tx, who, row, "workspace.update", changes, changes=changes)
                return await self._register.wire(tx.connection, who, row["id"])
        except IntegrityError as exc:
            raise already_exists(changes["name"], of="This owner has") from exc

    async def delete(
        self, who: Principal, reference: str, *, stop_sessions: bool = False, revision: int | None = None
    ) -> None:
        """Put a workspace into the trash; its name is free again. Raises Conflict (`workspace-busy`)."""
        async with self._db.write() as tx:
            row = await self._register.resolve_to_change(tx, who, reference, "workspace.delete", revision=revision)
            await self._register.check_quiet(tx.connection, row, but_not=stop_sessions)
            await self._register.sessions.stop_all(tx, who, row["id"], person_id=None)
            await self._register.change(tx, who, row, "workspace.delete", {"deleted_at": self._clock.now()})
            tx.after_commit(self._access.forget)

    async def activity(
        self, who: Principal, reference: str, *, cursor: str | None = None, limit: int = 20
    ) -> Page[AuditEvent]:
        """Return what happened in a workspace, newest first."""
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "workspace.read")
        return await self._audit.list_(who, workspace_id=row["id"], cursor=cursor, limit=limit)

    async def resolve(self, connection: AsyncConnection, who: Principal, reference: str, operation: str) -> RowMapping:
        """Find the workspace that `reference` means and authorise `operation` on it (see Register)."""
        return await self._register.resolve(connection, who, reference, operation)

    def launch_variables(self, row: RowMapping | Mapping[str, Any]) -> dict[str, str]:
        """Return the environment variables that a workspace gives its sessions.

        `row`: a session's or the like, with `workspace_id`, `person_id` and the workspace's `config`.
        """
        # Caches of tools lie where they can be cleared for one workspace, apart from those of the machine's account.
        self._folders.make_of_person(row["workspace_id"], row["person_id"])
        cache = self._folders.of_person(row["workspace_id"], row["person_id"]) / "cache"
        return {"XDG_CACHE_HOME": str(cache)} | self.more_variables(row) | config_of(row).environment.variables

    async def environment_state(self, workspace_id: str) -> tuple[EnvironmentState, str | None]:
        """Return how a workspace's environment is, and what stood in its way."""
        async with self._db.read() as connection:
            state, message = await queries.find_environment(connection, workspace_id)
        return EnvironmentState(state), message

    async def set_environment(self, workspace_id: str, state: EnvironmentState, message: str | None) -> None:
        """Write what the environment's reconciler saw."""
        async with self._db.write() as tx:
            await queries.update_workspace(
                tx.connection, workspace_id, environment_state=state.value, environment_message=message
            )
            topics = ("home", f"workspace:{workspace_id}")
            tx.after_commit(lambda: self._audit.live.publish(topics, workspace_id=workspace_id))
