"""Use cases of workspaces and their members."""

import asyncio
import difflib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.contract.ids import IdKind, looks_like_id, new_id
from studiolo.contract.models import (
    AuditEvent,
    EnvironmentInfo,
    EnvironmentState,
    Member,
    MemberSet,
    Page,
    PersonRef,
    Workspace,
    WorkspaceCreate,
    WorkspaceUpdate,
)
from studiolo.contract.names import check_name, suggest_name
from studiolo.contract.operations import Role
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import read_cursor, write_cursor
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts.service import Accounts
from studiolo.server.audit.service import Audit
from studiolo.server.principal import Principal
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.folders import Folders

MAX_PAGE = 200


class SessionsOfWorkspaces(Protocol):
    """What the sessions domain tells this one; given by the composition root, since sessions import workspaces."""

    async def count_running(self, connection: AsyncConnection, ids: Iterable[str]) -> dict[str, int]:
        """Number of running sessions for each workspace."""
        ...

    async def stop_all(self, tx: Transaction, who: Principal, workspace_id: str, *, person_id: str | None) -> None:
        """Want every session of a workspace (and person) stopped, in the same transaction."""
        ...


class Workspaces:
    """Workspaces as their people see them."""

    sessions: SessionsOfWorkspaces

    def __init__(
        self, db: Database, clock: Clock, accounts: Accounts, audit: Audit, access: Access, folders: Folders
    ) -> None:
        self._db = db
        self._clock = clock
        self._accounts = accounts
        self._audit = audit
        self._access = access
        self._folders = folders
        self.on_created: Callable[[str], None] = lambda workspace_id: None

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
            items = await self._wires(connection, rows)
        return Page(items=items, next_cursor=write_cursor(rows[-1]["name"], rows[-1]["id"]) if more and rows else None)

    async def create(self, who: Principal, form: WorkspaceCreate) -> Workspace:
        """Create a workspace; raises InvalidInput (name, folder), Conflict (`workspace-exists`)."""
        who.require("workspace.create")
        check_name(form.name)
        root = self._folders.check_root(form.root, is_admin=who.is_admin) if form.root else None
        now, workspace_id = self._clock.now(), new_id(IdKind.WORKSPACE)
        values: dict[str, Any] = {
            "id": workspace_id,
            "owner_id": who.person_id,
            "name": form.name,
            "description": form.description,
            "root": str(root) if root else None,
            "created_at": now,
            "modified_at": now,
            "environment_state": EnvironmentState.PENDING.value,
        }
        # Before the row: a folder without a row harms nobody, a row without its folder would.
        await asyncio.to_thread(self._folders.prepare, self._folders.of(workspace_id, values["root"]), form.name)
        try:
            async with self._db.write() as tx:
                await queries.insert_workspace(tx.connection, values)
                await self._record(tx, who, "workspace.create", form.name, workspace_id, root=values["root"])
                tx.after_commit(lambda: self.on_created(workspace_id))
                row = await self._row(tx.connection, who, workspace_id)
                return (await self._wires(tx.connection, [row]))[0]
        except IntegrityError as exc:
            self._folders.erase_files(workspace_id)
            raise Conflict(
                "workspace-exists",
                f"You have a workspace {form.name!r} already.",
                hint=f"Open it (studiolo open {form.name}), or choose another name.",
            ) from exc

    async def get(self, who: Principal, reference: str) -> Workspace:
        """Return one workspace by id, `owner/name` or name."""
        async with self._db.read() as connection:
            row = await self.resolve(connection, who, reference, "workspace.read")
            return (await self._wires(connection, [row]))[0]

    async def get_or_create_for(self, who: Principal, reference: str) -> Workspace:
        """Return the workspace that a name or a folder (an absolute path) stands for, making the latter's."""
        if not reference.startswith("/"):
            return await self.get(who, reference)
        folder = self._folders.check_root(reference, is_admin=who.is_admin)
        async with self._db.read() as connection:
            row = await queries.find_by_root(connection, who.person_id, str(folder))
            if row is not None:
                return (await self._wires(connection, [row]))[0]
            taken = set(await queries.list_names(connection, who.person_id, everything=False))
        base = suggest_name(folder.name) or "folder"
        name = next(n for n in (base, *(f"{base}-{i}" for i in range(2, 10_000))) if n not in taken)
        try:
            check_name(name)
        except InvalidInput:
            name = f"my-{name}"[:63]
        return await self.create(who, WorkspaceCreate(name=name, root=str(folder)))

    async def update(self, who: Principal, reference: str, form: WorkspaceUpdate) -> Workspace:
        """Rename or describe; raises Conflict (`workspace-exists`)."""
        changes = {k: v for k, v in form.model_dump(exclude_unset=True).items() if v is not None}
        if "name" in changes:
            check_name(changes["name"])
        try:
            async with self._db.write() as tx:
                row = await self.resolve(tx.connection, who, reference, "workspace.update")
                await queries.update_workspace(tx.connection, row["id"], modified_at=self._clock.now(), **changes)
                await self._record(tx, who, "workspace.update", row["name"], row["id"], changes=changes)
                row = await self._row(tx.connection, who, row["id"])
                return (await self._wires(tx.connection, [row]))[0]
        except IntegrityError as exc:
            raise Conflict("workspace-exists", f"There is a workspace {form.name!r} of this owner already.") from exc

    async def delete(self, who: Principal, reference: str, *, stop_sessions: bool = False) -> None:
        """Put a workspace into the trash; its name is free again. Raises Conflict (`workspace-busy`)."""
        async with self._db.write() as tx:
            row = await self.resolve(tx.connection, who, reference, "workspace.delete")
            running = (await self.sessions.count_running(tx.connection, [row["id"]])).get(row["id"], 0)
            if running and not stop_sessions:
                raise Conflict(
                    "workspace-busy",
                    f"{running} {'session runs' if running == 1 else 'sessions run'} in {row['name']!r}.",
                    hint="Stop them first, or delete with stop_sessions (--stop-sessions).",
                )
            await self.sessions.stop_all(tx, who, row["id"], person_id=None)
            await queries.update_workspace(tx.connection, row["id"], deleted_at=self._clock.now())
            await self._record(tx, who, "workspace.delete", row["name"], row["id"])
            tx.after_commit(self._access.forget)

    async def list_members(self, who: Principal, reference: str) -> list[Member]:
        """Return who has access, by name."""
        async with self._db.read() as connection:
            row = await self.resolve(connection, who, reference, "member.list")
            return [_member(member) for member in await queries.list_members(connection, row["id"])]

    async def set_member(self, who: Principal, reference: str, form: MemberSet) -> Member:
        """Give somebody a role or change it; an owner is left (`last-owner`)."""
        async with self._db.write() as tx:
            row = await self.resolve(tx.connection, who, reference, "member.set")
            person = await self._accounts.find_person(tx.connection, form.person)
            await queries.set_member(tx.connection, row["id"], person.id, form.role, self._clock.now())
            await self._check_owner_left(tx, row)
            if not form.role.includes(Role.EDITOR):
                await self.sessions.stop_all(tx, who, row["id"], person_id=person.id)
            await self._record(tx, who, "member.set", row["name"], row["id"], person=person.name, role=form.role.value)
            tx.after_commit(self._access.forget)
            found = await queries.list_members(tx.connection, row["id"])
            return next(_member(member) for member in found if member["id"] == person.id)

    async def remove_member(self, who: Principal, reference: str, person: str) -> None:
        """Take somebody's access away; anybody may leave by themselves. Raises NotFound (`member-not-found`)."""
        async with self._db.write() as tx:
            leaving = await self._is_self(tx.connection, who, person)
            row = await self.resolve(tx.connection, who, reference, "member.list" if leaving else "member.remove")
            found = await self._accounts.find_person(tx.connection, person)
            if leaving:
                who.require("member.remove")
            if not await queries.remove_member(tx.connection, row["id"], found.id):
                raise NotFound("member-not-found", f"{found.name!r} is no member of {row['name']!r}.")
            await self._check_owner_left(tx, row)
            await self.sessions.stop_all(tx, who, row["id"], person_id=found.id)
            await self._record(tx, who, "member.remove", row["name"], row["id"], person=found.name)
            tx.after_commit(self._access.forget)

    async def activity(
        self, who: Principal, reference: str, *, cursor: str | None = None, limit: int = 20
    ) -> Page[AuditEvent]:
        """Return what happened in a workspace, newest first."""
        async with self._db.read() as connection:
            row = await self.resolve(connection, who, reference, "workspace.read")
        return await self._audit.list_(who, workspace_id=row["id"], cursor=cursor, limit=limit)

    async def resolve(self, connection: AsyncConnection, who: Principal, reference: str, operation: str) -> RowMapping:
        """Find the workspace that `reference` means and authorise `operation` on it.

        `reference`: id, `owner/name`, `owner~name`, or a bare name (the caller's own first, then those they
        belong to). Raises NotFound (`workspace-not-found`, with near names), Conflict (`workspace-ambiguous`).
        """
        who.require(operation)
        rows = await self._candidates(connection, who, reference)
        if not rows:
            raise await self._missing(connection, who, reference)
        if len(rows) > 1 and rows[0]["owner_id"] != who.person_id:
            candidates = [f"{row['owner_name']}/{row['name']}" for row in rows]
            raise Conflict(
                "workspace-ambiguous",
                f"Several workspaces are called {reference!r}: {', '.join(candidates)}.",
                hint=f"Name its owner too, for example {candidates[0]}.",
                candidates=candidates,
            )
        row = rows[0]
        role = Role(row["role"]) if row["role"] else None
        missing = await self._missing(connection, who, reference) if role is None else _not_found(reference, [])
        who.require_on(operation, role, workspace_id=row["id"], missing=missing, owner=row["owner_display_name"])
        return row

    async def set_environment(self, workspace_id: str, state: EnvironmentState, message: str | None) -> None:
        """Write what the environment's reconciler saw."""
        async with self._db.write() as tx:
            await queries.update_workspace(
                tx.connection, workspace_id, environment_state=state.value, environment_message=message
            )
            topics = ("home", f"workspace:{workspace_id}")
            tx.after_commit(lambda: self._audit.live.publish(topics, workspace_id=workspace_id))

    async def _candidates(self, connection: AsyncConnection, who: Principal, reference: str) -> list[RowMapping]:
        if looks_like_id(reference, IdKind.WORKSPACE):
            row = await queries.find_by_id(connection, who.person_id, reference)
            return [row] if row else []
        owner, _, name = reference.replace("~", "/", 1).rpartition("/")
        return await queries.find_named(
            connection, who.person_id, name, owner or None, everything=who.is_admin and bool(owner)
        )

    async def _missing(self, connection: AsyncConnection, who: Principal, reference: str) -> NotFound:
        names = await queries.list_names(connection, who.person_id, everything=False)
        return _not_found(reference, difflib.get_close_matches(reference.rpartition("/")[2], names, n=3, cutoff=0.6))

    async def _row(self, connection: AsyncConnection, who: Principal, workspace_id: str) -> RowMapping:
        row = await queries.find_by_id(connection, who.person_id, workspace_id)
        if row is None:
            raise _not_found(workspace_id, [])
        return row

    async def _wires(self, connection: AsyncConnection, rows: list[RowMapping]) -> list[Workspace]:
        ids = [row["id"] for row in rows]
        member_counts = await queries.count_members(connection, ids) if ids else {}
        running = await self.sessions.count_running(connection, ids) if ids else {}
        return [self._wire(row, running.get(row["id"], 0), member_counts.get(row["id"], 0)) for row in rows]

    def _wire(self, row: RowMapping, running: int, member_count: int) -> Workspace:
        return Workspace(
            id=row["id"],
            name=row["name"],
            owner=PersonRef(id=row["owner_id"], name=row["owner_name"], display_name=row["owner_display_name"]),
            description=row["description"],
            role=Role(row["role"]) if row["role"] else None,
            created_at=row["created_at"],
            modified_at=row["modified_at"],
            path=str(self._folders.of(row["id"], row["root"])),
            environment=EnvironmentInfo(
                state=EnvironmentState(row["environment_state"]),
                message=row["environment_message"],
                python=str(self._folders.environment(row["id"]) / "bin" / "python"),
            ),
            running_sessions=running,
            member_count=member_count,
        )

    async def _is_self(self, connection: AsyncConnection, who: Principal, person: str) -> bool:
        return (await self._accounts.find_person(connection, person)).id == who.person_id

    async def _check_owner_left(self, tx: Transaction, row: RowMapping) -> None:
        if not await queries.count_owners(tx.connection, row["id"]):
            raise Conflict(
                "last-owner",
                f"{row['name']!r} would have no owner left.",
                hint="Make somebody else owner first.",
            )

    async def _record(
        self, tx: Transaction, who: Principal, action: str, name: str, workspace_id: str, **detail: Any
    ) -> None:
        await self._audit.record(
            tx,
            who,
            action,
            name,
            workspace_id=workspace_id,
            topics=("home", f"workspace:{workspace_id}"),
            **detail,
        )


def _member(row: RowMapping) -> Member:
    person = PersonRef(id=row["id"], name=row["name"], display_name=row["display_name"])
    return Member(person=person, role=Role(row["role"]), since=row["since"])


def _not_found(reference: str, near: list[str]) -> NotFound:
    shown = reference if len(reference) <= 80 else reference[:80] + "…"
    hint = f"Did you mean {' or '.join(near)}?" if near else "studiolo list shows those you can see."
    return NotFound(
        "workspace-not-found",
        f"There is no workspace {shown!r} that you can see.",
        hint=hint,
        candidates=near,
    )
