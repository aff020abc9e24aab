"""All SQL of kernels."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.resources import Capacity
from studiolo.server.accounts.tables import keys, logins, people
from studiolo.server.kernels.tables import kernels
from studiolo.server.sessions.queries import ALIVE, KERNELS, wait_for_turn
from studiolo.server.sessions.tables import sessions
from studiolo.server.workspaces.tables import members, workspaces

_owner = people.alias("owner")
_starter = people.alias("starter")


def _described() -> Any:
    return (
        select(
            kernels,
            workspaces.c.name.label("workspace_name"),
            workspaces.c.owner_id,
            workspaces.c.deleted_at.label("workspace_deleted_at"),
            _owner.c.name.label("owner_name"),
            _owner.c.display_name.label("owner_display_name"),
            _starter.c.name.label("person_name"),
            _starter.c.display_name.label("person_display_name"),
            sessions.c.kind.label("session_kind"),
            func.coalesce(sessions.c.handle_engine, sessions.c.engine).label("session_engine"),
        )
        .join(workspaces, workspaces.c.id == kernels.c.workspace_id)
        .join(_owner, _owner.c.id == workspaces.c.owner_id)
        .join(_starter, _starter.c.id == kernels.c.person_id)
        .outerjoin(sessions, sessions.c.id == kernels.c.session_id)
    )


async def find(connection: AsyncConnection, kernel_id: str) -> RowMapping | None:
    """A kernel with its workspace and people, also one that ended."""
    return (await connection.execute(_described().where(kernels.c.id == kernel_id))).mappings().first()


async def list_page(
    connection: AsyncConnection,
    *,
    member_id: str | None,
    person_id: str | None,
    workspace_id: str | None,
    session_id: str | None,
    states: Iterable[str],
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[RowMapping]:
    """A page, newest first: of a person, a workspace, a session, or all that `member_id` can see."""
    query = _described().where(workspaces.c.deleted_at.is_(None))
    if person_id is not None:
        query = query.where(kernels.c.person_id == person_id)
    if workspace_id is not None:
        query = query.where(kernels.c.workspace_id == workspace_id)
    if session_id is not None:
        query = query.where(kernels.c.session_id == session_id)
    if member_id is not None:
        mine = select(members.c.workspace_id).where(members.c.person_id == member_id)
        query = query.where(kernels.c.workspace_id.in_(mine))
    wanted = list(states)
    query = query.where(kernels.c.state.in_(wanted) if wanted else kernels.c.ended_at.is_(None))
    if before is not None:
        at, kernel_id = before
        query = query.where(or_(kernels.c.created_at < at, (kernels.c.created_at == at) & (kernels.c.id < kernel_id)))
    query = query.order_by(kernels.c.created_at.desc(), kernels.c.id.desc()).limit(limit)
    return list((await connection.execute(query)).mappings())


async def list_elsewhere(connection: AsyncConnection, person_id: str, workspace_id: str | None) -> list[RowMapping]:
    """A person's kernels that live in places of their own on other engines, of one workspace or of all they are in."""
    query = _described().where(
        sessions.c.kind == KERNELS, kernels.c.person_id == person_id, kernels.c.ended_at.is_(None)
    )
    if workspace_id is not None:
        query = query.where(kernels.c.workspace_id == workspace_id)
    mine = select(members.c.workspace_id).where(members.c.person_id == person_id)
    query = query.where(workspaces.c.deleted_at.is_(None), kernels.c.workspace_id.in_(mine))
    return list((await connection.execute(query.order_by(kernels.c.created_at))).mappings())


async def list_alive(connection: AsyncConnection, workspace_id: str | None = None) -> list[RowMapping]:
    """All kernels that have not ended, as bare rows."""
    query = select(kernels).where(kernels.c.ended_at.is_(None))
    if workspace_id is not None:
        query = query.where(kernels.c.workspace_id == workspace_id)
    return list((await connection.execute(query)).mappings())


async def list_workspaces_headless(connection: AsyncConnection) -> set[str]:
    """Ids of workspaces in which a kernel without a session lives."""
    query = select(kernels.c.workspace_id).where(kernels.c.ended_at.is_(None), kernels.c.session_id.is_(None))
    return set((await connection.execute(query.distinct())).scalars())


async def list_headless(connection: AsyncConnection, workspace_id: str) -> list[RowMapping]:
    """Kernels of a workspace that live without a session, with their people."""
    query = _described().where(
        kernels.c.workspace_id == workspace_id, kernels.c.ended_at.is_(None), kernels.c.session_id.is_(None)
    )
    return list((await connection.execute(query)).mappings())


async def list_by_ids(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, RowMapping]:
    """Bare rows of these kernels by id."""
    query = select(kernels).where(kernels.c.id.in_(list(ids)))
    return {row["id"]: row for row in (await connection.execute(query)).mappings()}


async def count_alive(
    connection: AsyncConnection, *, person_id: str | None = None, workspace_id: str | None = None
) -> int:
    """Number of kernels that have not ended: of a person, of a workspace, or in all."""
    query = select(func.count()).select_from(kernels).where(kernels.c.ended_at.is_(None))
    if person_id is not None:
        query = query.where(kernels.c.person_id == person_id)
    if workspace_id is not None:
        query = query.where(kernels.c.workspace_id == workspace_id)
    return int((await connection.execute(query)).scalar_one())


async def claimed(connection: AsyncConnection) -> Capacity:
    """What headless kernels may use together; those of sessions use what their session may."""
    amounts = kernels.c.allowed["resources"]
    sums = [func.sum(amounts[what].as_float()) for what in ("cpu", "memory", "gpu")]
    query = select(*sums).where(kernels.c.ended_at.is_(None), kernels.c.session_id.is_(None))
    cpu, memory, gpu = (await connection.execute(query)).one()
    return Capacity(cpu_claimed=cpu or 0, memory_claimed=int(memory or 0), gpu_claimed=int(gpu or 0))


async def list_holders(connection: AsyncConnection) -> set[tuple[str, int]]:
    """Headless kernels that have not ended, as those who may hold GPUs (see gpus.leases)."""
    query = select(kernels.c.id).where(kernels.c.ended_at.is_(None), kernels.c.session_id.is_(None))
    return {(kernel_id, 0) for kernel_id in (await connection.execute(query)).scalars()}


async def insert_kernel(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add a kernel."""
    await connection.execute(insert(kernels).values(**values))


async def forget(connection: AsyncConnection, kernel_id: str) -> None:
    """Delete a kernel; success if there is none."""
    await connection.execute(kernels.delete().where(kernels.c.id == kernel_id))


async def update_kernel(connection: AsyncConnection, kernel_id: str, **values: Any) -> None:
    """Write what was seen or wanted."""
    await connection.execute(update(kernels).where(kernels.c.id == kernel_id).values(**values))


async def end(connection: AsyncConnection, kernel_id: str, at: datetime, reason: dict[str, Any]) -> bool:
    """Write the end of a kernel; False if it had ended before."""
    which = (kernels.c.id == kernel_id) & kernels.c.ended_at.is_(None)
    values = {"state": "ended", "ended_at": at, "reason": reason, "connections": 0}
    return bool((await connection.execute(update(kernels).where(which).values(**values))).rowcount)


async def want_stopped(
    connection: AsyncConnection, workspace_id: str | None, person_id: str | None, reason: dict[str, Any]
) -> list[str]:
    """Want headless kernels stopped, of a workspace, of a person, or all; returns their ids."""
    which = kernels.c.ended_at.is_(None) & kernels.c.session_id.is_(None)
    if workspace_id is not None:
        which = which & (kernels.c.workspace_id == workspace_id)
    if person_id is not None:
        which = which & (kernels.c.person_id == person_id)
    ids = list((await connection.execute(select(kernels.c.id).where(which))).scalars())
    await connection.execute(update(kernels).where(which).values(stop_reason=reason))
    return ids


async def forget_ended(connection: AsyncConnection, before: datetime) -> list[str]:
    """Delete kernels that ended before a time; returns their ids."""
    which = kernels.c.ended_at < before
    ids = list((await connection.execute(select(kernels.c.id).where(which))).scalars())
    await connection.execute(kernels.delete().where(which))
    return ids


async def forget_places(connection: AsyncConnection, before: datetime, now: datetime) -> list[str]:
    """Mark places as deleted that ended before a time and of whose kernels none is known; returns their ids.

    The rows of those that were marked before that time go.
    """
    of_kernels = sessions.c.kind == KERNELS
    await connection.execute(sessions.delete().where(of_kernels, sessions.c.deleted_at < before))
    # Whoever wants one of them again at this moment finds it, or none.
    await wait_for_turn(connection)
    which = (
        of_kernels
        & sessions.c.deleted_at.is_(None)
        & (sessions.c.desired != "running")
        & sessions.c.state.not_in(ALIVE)
        & (sessions.c.ended_at < before)
        & ~exists().where(kernels.c.session_id == sessions.c.id)
    )
    ids = list((await connection.execute(select(sessions.c.id).where(which))).scalars())
    await connection.execute(update(sessions).where(sessions.c.id.in_(ids)).values(deleted_at=now))
    return ids


async def list_scopes(connection: AsyncConnection, workspace_id: str) -> set[str]:
    """Scopes of all kernels of a workspace that have not ended: its own, and those of its sessions' launches."""
    query = select(kernels.c.scope).where(kernels.c.workspace_id == workspace_id, kernels.c.ended_at.is_(None))
    return {workspace_id, *(await connection.execute(query.distinct())).scalars()}


async def list_sessions_elsewhere(
    connection: AsyncConnection, here: str, *, person_id: str | None = None, workspace_id: str | None = None
) -> list[RowMapping]:
    """Bare rows of the sessions (of a person, of a workspace) that run on another engine than `here`."""
    engine = func.coalesce(sessions.c.handle_engine, sessions.c.engine)
    query = select(sessions).where(sessions.c.handle_launch.is_not(None), engine != here)
    if person_id is not None:
        query = query.where(sessions.c.person_id == person_id)
    if workspace_id is not None:
        query = query.where(sessions.c.workspace_id == workspace_id)
    return list((await connection.execute(query)).mappings())


async def list_credentials(connection: AsyncConnection, workspace_id: str, person_id: str | None) -> set[str]:
    """Ids of all logins and keys of a person, or of all members of a workspace."""
    whose: Any = [person_id]
    if person_id is None:
        whose = select(members.c.person_id).where(members.c.workspace_id == workspace_id)
    found: set[str] = set()
    for table in (logins, keys):
        found |= set((await connection.execute(select(table.c.id).where(table.c.person_id.in_(whose)))).scalars())
    return found
