"""Which session a reference means, and whether the caller may do something with it."""

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict, Denied, NotFound, StudioloError
from studiolo.contract.ids import IdKind, looks_like_id
from studiolo.contract.models import SessionState
from studiolo.contract.operations import ADMIN_MAY, OPERATIONS, Role
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.service import Workspaces

# What owners of the workspace may do with sessions of others.
_MENDING = frozenset({"session.stop", "session.delete", "session.log", "session.snooze"})
ENDED = (SessionState.STOPPED, SessionState.FAILED)


class SessionLookup:
    """Finds sessions by what people call them."""

    def __init__(self, workspaces: Workspaces, access: Access) -> None:
        self._workspaces = workspaces
        self._access = access

    async def resolve(self, connection: AsyncConnection, who: Principal, reference: str, operation: str) -> RowMapping:
        """Find the session that `reference` means and authorise `operation` on it.

        `reference`: id, name, `workspace/name` (or with `~`), or a workspace with one session alive. A session
        carries the power of its person: only they start, enter and restart it; owners of the workspace and
        administrators may stop and forget it.
        """
        who.require(operation)
        row = await self._find(connection, who, reference)
        if row is None or row["deleted_at"] is not None or row["workspace_deleted_at"] is not None:
            raise not_found(reference)
        role = await self._access.role(connection, who.person_id, row["workspace_id"])
        is_narrowed = role is not None and row["person_id"] != who.person_id and operation != "session.read"
        may_mend = role is Role.OWNER and operation in _MENDING
        try:
            who.require_on(
                operation,
                Role.VIEWER if is_narrowed and not may_mend else role,
                workspace_id=row["workspace_id"],
                missing=not_found(reference),
                owner=row["person_display_name"] if role else row["owner_display_name"],
            )
        except Denied as exc:
            raise (_not_theirs(row, operation) if is_narrowed and not may_mend else exc) from exc
        return row

    async def _find(self, connection: AsyncConnection, who: Principal, reference: str) -> RowMapping | None:
        if looks_like_id(reference, IdKind.SESSION):
            return await queries.find(connection, reference)
        place, _, name = reference.replace("~", "/").rpartition("/")
        workspace_id: str | None = None
        missing: StudioloError | None = None
        if place:
            try:
                workspace_id = (await self._workspaces.resolve(connection, who, place, "session.read"))["id"]
            except NotFound as exc:
                # `owner/workspace` looks like `workspace/session`.
                missing = exc
        rows: list[RowMapping] = []
        if missing is None:
            rows = await queries.find_named(
                connection, who.person_id, name, workspace_id, everything=bool(workspace_id)
            )
        if not rows:
            rows = await self._of_workspace(connection, who, reference)
        if missing is not None and not rows:
            raise missing
        if len(rows) > 1:
            mine = [row for row in rows if row["person_id"] == who.person_id and row["state"] not in ENDED]
            rows = mine if len(mine) == 1 else rows
        if len(rows) > 1:
            candidates = [f"{row['workspace_name']}/{row['name']}" for row in rows]
            raise Conflict(
                "session-ambiguous",
                f"Several sessions fit {reference!r}: {', '.join(candidates)}.",
                hint=f"Name one, for example {candidates[0]} or its id {rows[0]['id']}.",
                candidates=candidates,
            )
        return rows[0] if rows else None

    async def _of_workspace(self, connection: AsyncConnection, who: Principal, reference: str) -> list[RowMapping]:
        """Return those alive, else the last one; none where no such workspace can be seen. Raises NotFound."""
        try:
            workspace = await self._workspaces.resolve(connection, who, reference, "session.read")
        except StudioloError:
            return []
        rows = await queries.list_page(
            connection,
            member_id=None,
            person_id=None,
            workspace_id=workspace["id"],
            states=(),
            before=None,
            limit=20,
        )
        if not rows:
            raise NotFound(
                "session-not-found",
                f"The workspace {workspace['name']!r} has no session.",
                hint=f"Start one: studiolo start {reference}",
            )
        alive = [row for row in rows if row["state"] not in ENDED]
        return alive or rows[:1]


def _not_theirs(row: RowMapping, operation: str) -> Denied:
    others = ", owners of the workspace" if operation in _MENDING else ""
    return Denied(
        "denied",
        f"This is a session of {row['person_display_name']}: to {OPERATIONS[operation].summary.lower()} is for "
        f"its own person{others}{' and administrators' if operation in ADMIN_MAY else ''}.",
        hint=f"Ask {row['person_display_name']}, or launch a session of your own in this workspace.",
    )


def not_found(reference: str) -> NotFound:
    """The error for a session that is not there, or not for this caller."""
    shown = reference if len(reference) <= 80 else reference[:80] + "…"
    return NotFound(
        "session-not-found",
        f"There is no session {shown!r} that you can see.",
        hint="studiolo sessions shows those you can see.",
    )
