"""What all dealings with workspaces share: find one, authorise, change it with its record, show it."""

import difflib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.details import WorkspaceConfig
from studiolo.contract.errors import Conflict, NotFound
from studiolo.contract.ids import IdKind, looks_like_id
from studiolo.contract.models import EnvironmentInfo, EnvironmentState, PersonRef, Workspace
from studiolo.contract.operations import Role
from studiolo.kit.clock import Clock
from studiolo.kit.db import Transaction
from studiolo.server.audit.service import Audit
from studiolo.server.principal import Principal
from studiolo.server.settings.resources import ResourceSettings
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.allowance import foresee_resources
from studiolo.server.workspaces.folders import Folders


class SessionsOfWorkspaces(Protocol):
    """What the sessions domain tells this one; given by the composition root, since sessions import workspaces."""

    async def count_running(self, connection: AsyncConnection, ids: Iterable[str]) -> dict[str, int]:
        """Number of running sessions for each workspace."""
        ...

    async def list_workspaces_in_use(self, connection: AsyncConnection) -> set[str]:
        """Workspaces in which anything runs still, be it a place for kernels that has none."""
        ...

    async def stop_all(
        self,
        tx: Transaction,
        who: Principal,
        workspace_id: str,
        *,
        person_id: str | None,
        code: str = "workspace-deleted",
    ) -> None:
        """Want every session of a workspace (and person) stopped, in the same transaction; `code`: why."""
        ...

    async def usage_of_workspace(self, connection: AsyncConnection, workspace_id: str) -> dict[str, Any]:
        """Return session_hours, cpu_hours, memory_peak, launches, since; and now running, cpu, memory, …kernels."""
        ...

    async def last_there(self, connection: AsyncConnection, workspace_id: str) -> dict[str, datetime]:
        """Return when each person last had something running in a workspace, by id."""
        ...

    async def executions_of_workspace(
        self, connection: AsyncConnection, workspace_id: str, *, limit: int = 50
    ) -> list[dict[str, Any]]:
        """Return notebooks last run, newest first, as {path, at, session}."""
        ...


class Register:
    """Workspaces by reference, and as rows for the services of this folder."""

    sessions: SessionsOfWorkspaces

    def __init__(self, clock: Clock, audit: Audit, folders: Folders, settings: ResourceSettings) -> None:
        self._clock = clock
        self._audit = audit
        self._folders = folders
        self._settings = settings

    async def resolve(self, connection: AsyncConnection, who: Principal, reference: str, operation: str) -> RowMapping:
        """Find the workspace that `reference` means and authorise `operation` on it.

        `reference`: id, `owner/name`, `owner~name`, or a bare name (the caller's own first, then those they
        belong to); a former name or owner counts where no workspace has it now.
        Raises NotFound (`workspace-not-found`, with near names), Conflict (`workspace-ambiguous`).
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
        try:
            who.require_on(
                operation,
                role,
                workspace_id=row["id"],
                missing=not_found(reference, []),
                owner=row["owner_display_name"],
            )
        except NotFound:
            # As for a name that nobody has.
            raise await self._missing(connection, who, reference) from None
        return row

    async def resolve_to_change(
        self, tx: Transaction, who: Principal, reference: str, operation: str, *, revision: int | None = None
    ) -> RowMapping:
        """The same within a writing transaction, with the row locked until its end.

        Raises Conflict (`workspace-changed`) if it is not at `revision` any more.
        """
        found = await self.resolve(tx.connection, who, reference, operation)
        await queries.lock(tx.connection, found["id"])
        row = await self.read(tx.connection, who, found["id"])
        if revision is not None and row["revision"] != revision:
            raise Conflict(
                "workspace-changed",
                f"{row['name']!r} has changed since you read it; nothing was done.",
                hint="Read it again, then repeat what you want.",
                revision=row["revision"],
            )
        return row

    async def check_quiet(
        self,
        connection: AsyncConnection,
        row: RowMapping,
        *,
        but_not: bool = False,
        remedy: str = "stop_sessions (--stop-sessions)",
    ) -> None:
        """Raise Conflict (`workspace-busy`) while sessions of the workspace run, `but_not` where they are stopped.

        `remedy`: what the caller may add to have them stopped.
        """
        running = (await self.sessions.count_running(connection, [row["id"]])).get(row["id"], 0)
        if running and not but_not:
            raise Conflict(
                "workspace-busy",
                f"{running} {'session runs' if running == 1 else 'sessions run'} in {row['name']!r}.",
                hint=f"Stop them first, or repeat with {remedy}.",
            )

    async def read(self, connection: AsyncConnection, who: Principal, workspace_id: str) -> RowMapping:
        """Return the row of a live workspace with the caller's role; raises NotFound."""
        row = await queries.find_by_id(connection, who.person_id, workspace_id)
        if row is None:
            raise not_found(workspace_id, [])
        return row

    async def change(
        self,
        tx: Transaction,
        who: Principal,
        row: RowMapping,
        action: str,
        values: dict[str, Any],
        **detail: Any,
    ) -> None:
        """Write `values`, count the change and record it."""
        changed = values | {"modified_at": self._clock.now(), "revision": row["revision"] + 1}
        await queries.update_workspace(tx.connection, row["id"], **changed)
        await self.record(tx, who, action, row["name"], row["id"], **detail)

    async def record(
        self, tx: Transaction, who: Principal, action: str, name: str, workspace_id: str, **detail: Any
    ) -> None:
        """Add the audit event of a mutation, and tell live pages."""
        topics = ("home", f"workspace:{workspace_id}")
        await self._audit.record(tx, who, action, name, workspace_id=workspace_id, topics=topics, **detail)

    def publish(self, workspace_id: str) -> None:
        """Tell live pages that something about a workspace has changed that is no mutation."""
        self._audit.live.publish((f"workspace:{workspace_id}",), workspace_id=workspace_id)

    async def wire(self, connection: AsyncConnection, who: Principal, workspace_id: str) -> Workspace:
        """Return a live workspace as the caller sees it."""
        return (await self.wires(connection, [await self.read(connection, who, workspace_id)]))[0]

    async def wires(self, connection: AsyncConnection, rows: list[RowMapping]) -> list[Workspace]:
        """Return rows as callers see them."""
        ids = [row["id"] for row in rows]
        member_counts = await queries.count_members(connection, ids) if ids else {}
        running = await self.sessions.count_running(connection, ids) if ids else {}
        return [self._wire(row, running.get(row["id"], 0), member_counts.get(row["id"], 0)) for row in rows]

    async def _candidates(self, connection: AsyncConnection, who: Principal, reference: str) -> list[RowMapping]:
        if looks_like_id(reference, IdKind.WORKSPACE):
            row = await queries.find_by_id(connection, who.person_id, reference)
            return [row] if row else []
        owner, name = _split(reference)
        everything = who.is_admin and bool(owner)
        rows = await queries.find_named(connection, who.person_id, name, owner or None, everything=everything)
        return rows or await queries.find_former(connection, who.person_id, name, owner or None, everything=everything)

    async def _missing(self, connection: AsyncConnection, who: Principal, reference: str) -> NotFound:
        # A key of one workspace knows of no other, however its person's are called.
        names = [] if who.workspace_id else await queries.list_names(connection, who.person_id, everything=False)
        return not_found(reference, difflib.get_close_matches(_split(reference)[1], names, n=3, cutoff=0.6))

    def _wire(self, row: RowMapping, running: int, member_count: int) -> Workspace:
        config = row["config"] or {}
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
            profile=config.get("profile") or self._settings.default_profile or None,
            resources=foresee_resources(config.get("profile"), config.get("resources"), self._settings),
            engine=config.get("engine"),
            min_isolation=config.get("min_isolation"),
            revision=row["revision"],
        )


def config_of(row: RowMapping | Mapping[str, Any]) -> WorkspaceConfig:
    """Return a workspace's configuration, an empty one if nothing was configured."""
    return WorkspaceConfig.model_validate(row["config"] or {})


def is_former(reference: str, workspace: Workspace) -> bool:
    """Tell whether `reference`, by which the workspace was found, is an address that it had."""
    if looks_like_id(reference, IdKind.WORKSPACE):
        return False
    owner, name = _split(reference)
    return name != workspace.name or (bool(owner) and "@" not in owner and owner != workspace.owner.name)


def not_found(reference: str, near: list[str]) -> NotFound:
    """The error for a workspace that is not there or that the caller may not know of."""
    spelled = reference.replace("~", "/", 1)
    shown = spelled if len(spelled) <= 80 else spelled[:80] + "…"
    hint = f"Did you mean {' or '.join(near)}?" if near else "studiolo list shows those you can see."
    return NotFound(
        "workspace-not-found",
        f"There is no workspace {shown!r} that you can see.",
        hint=hint,
        candidates=near,
    )


def already_exists(name: str, *, of: str = "You have") -> Conflict:
    """The error for a name that its owner uses already."""
    return Conflict(
        "workspace-exists",
        f"{of} a workspace {name!r} already.",
        hint=f"Open it (studiolo open {name}), or choose another name.",
    )


def _split(reference: str) -> tuple[str, str]:
    owner, _, name = reference.replace("~", "/", 1).rpartition("/")
    return owner, name
