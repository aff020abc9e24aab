"""All SQL of sessions, but for what they use (usage_queries) and how browsers enter them (entry_queries)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, bindparam, case, func, insert, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.resources import Capacity
from studiolo.server.accounts.tables import people
from studiolo.server.sessions.tables import sessions
from studiolo.server.workspaces.tables import members, workspaces

_owner = people.alias("owner")
_launcher = people.alias("launcher")
_member_count = (
    select(func.count()).where(members.c.workspace_id == sessions.c.workspace_id).correlate(sessions).scalar_subquery()
)
ALIVE = ("starting", "running", "stopping", "unknown")
# What `kind` says: sessions of people, and places for kernels alone.
SESSION, KERNELS = "session", "kernels"
# Any number that nothing else of ours locks.
_ADMISSION_LOCK = 0x5354554C


def _described() -> Any:
    return (
        select(
            sessions,
            workspaces.c.name.label("workspace_name"),
            workspaces.c.owner_id,
            workspaces.c.root.label("workspace_root"),
            workspaces.c.deleted_at.label("workspace_deleted_at"),
            workspaces.c.config,
            workspaces.c.environment_state,
            workspaces.c.environment_message,
            _owner.c.name.label("owner_name"),
            _owner.c.display_name.label("owner_display_name"),
            _launcher.c.name.label("person_name"),
            _launcher.c.display_name.label("person_display_name"),
            _launcher.c.email.label("person_email"),
            _member_count.label("member_count"),
        )
        .join(workspaces, workspaces.c.id == sessions.c.workspace_id)
        .join(_owner, _owner.c.id == workspaces.c.owner_id)
        .join(_launcher, _launcher.c.id == sessions.c.person_id)
    )


async def find(connection: AsyncConnection, session_id: str) -> RowMapping | None:
    """A session with its workspace and people, deleted ones too."""
    return (await connection.execute(_described().where(sessions.c.id == session_id))).mappings().first()


async def find_named(
    connection: AsyncConnection, person_id: str, name: str, workspace_id: str | None, *, everything: bool
) -> list[RowMapping]:
    """Visible sessions of this name, those alive and those last made first."""
    query = _described().where(sessions.c.name == name, sessions.c.kind == SESSION, sessions.c.deleted_at.is_(None))
    if workspace_id is not None:
        query = query.where(sessions.c.workspace_id == workspace_id)
    if not everything:
        query = query.where(_is_member(person_id))
    return list((await connection.execute(query.order_by(sessions.c.created_at.desc()).limit(20))).mappings())


async def list_page(
    connection: AsyncConnection,
    *,
    member_id: str | None,
    person_id: str | None,
    workspace_id: str | None,
    states: Iterable[str],
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[RowMapping]:
    """A page, newest first: of a person, of a workspace, or all that `member_id` can see."""
    query = _described().where(
        sessions.c.kind == SESSION, sessions.c.deleted_at.is_(None), workspaces.c.deleted_at.is_(None)
    )
    if person_id is not None:
        query = query.where(sessions.c.person_id == person_id)
    if workspace_id is not None:
        query = query.where(sessions.c.workspace_id == workspace_id)
    if member_id is not None:
        query = query.where(_is_member(member_id))
    if wanted := list(states):
        query = query.where(sessions.c.state.in_(wanted))
    if before is not None:
        at, session_id = before
        query = query.where(
            or_(sessions.c.created_at < at, (sessions.c.created_at == at) & (sessions.c.id < session_id))
        )
    query = query.order_by(sessions.c.created_at.desc(), sessions.c.id.desc()).limit(limit)
    return list((await connection.execute(query)).mappings())


def _is_member(person_id: str) -> Any:
    mine = select(members.c.workspace_id).where(members.c.person_id == person_id)
    return sessions.c.workspace_id.in_(mine)


async def list_names(connection: AsyncConnection, workspace_id: str) -> set[str]:
    """Names taken in a workspace."""
    query = select(sessions.c.name).where(sessions.c.workspace_id == workspace_id, sessions.c.deleted_at.is_(None))
    return set((await connection.execute(query)).scalars())


async def count_running(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, int]:
    """Number of sessions alive for each workspace."""
    query = select(sessions.c.workspace_id, func.count()).where(
        sessions.c.workspace_id.in_(list(ids)), sessions.c.kind == SESSION, sessions.c.state.in_(ALIVE)
    )
    return {row[0]: row[1] for row in await connection.execute(query.group_by(sessions.c.workspace_id))}


async def wait_for_turn(connection: AsyncConnection) -> None:
    """Let no other transaction admit a launch until this one ends. SQLite's writers take turns anyway."""
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(_ADMISSION_LOCK)))


async def list_kernel_workloads(
    connection: AsyncConnection, workspace_id: str, person_id: str, engine: str
) -> list[RowMapping]:
    """A person's places for kernels alone in a workspace on an engine, newest first; those that ended too."""
    query = _described().where(
        sessions.c.kind == KERNELS,
        sessions.c.workspace_id == workspace_id,
        sessions.c.person_id == person_id,
        sessions.c.engine == engine,
        sessions.c.deleted_at.is_(None),
    )
    return list((await connection.execute(query.order_by(sessions.c.created_at.desc()))).mappings())


async def count_alive(
    connection: AsyncConnection, person_id: str | None = None, *, besides: str | None = None, kind: str | None = None
) -> int:
    """Number of sessions alive, of a person or in all, of one kind or of all, one apart."""
    query = select(func.count()).select_from(sessions).where(sessions.c.state.in_(ALIVE))
    if kind is not None:
        query = query.where(sessions.c.kind == kind)
    if person_id is not None:
        query = query.where(sessions.c.person_id == person_id)
    if besides is not None:
        query = query.where(sessions.c.id != besides)
    return int((await connection.execute(query)).scalar_one())


async def claimed(connection: AsyncConnection, engine: str, *, besides: str | None = None) -> Capacity:
    """What the sessions alive on an engine may use together, one apart; what is unlimited claims nothing."""
    amounts = sessions.c.allowed["resources"]
    # As floats: bytes are beyond the range of SQL's integers, and exact up to 2^53.
    sums = [func.sum(amounts[what].as_float()) for what in ("cpu", "memory", "gpu")]
    query = select(*sums).where(sessions.c.engine == engine, sessions.c.state.in_(ALIVE))
    if besides is not None:
        query = query.where(sessions.c.id != besides)
    cpu, memory, gpu = (await connection.execute(query)).one()
    return Capacity(cpu_claimed=cpu or 0, memory_claimed=int(memory or 0), gpu_claimed=int(gpu or 0))


async def list_workspaces_alive(connection: AsyncConnection) -> set[str]:
    """Ids of workspaces in which a session is alive."""
    query = select(sessions.c.workspace_id).where(sessions.c.state.in_(ALIVE)).distinct()
    return set((await connection.execute(query)).scalars())


async def list_alive_of_workspace(connection: AsyncConnection, workspace_id: str) -> list[RowMapping]:
    """Sessions of a workspace that are alive, with their people."""
    query = _described().where(sessions.c.workspace_id == workspace_id, sessions.c.state.in_(ALIVE))
    return list((await connection.execute(query)).mappings())


async def list_due(connection: AsyncConnection) -> dict[str, str]:
    """Sessions that may need a step, all that run or should: ids, and the engine where each is or should be."""
    there = func.coalesce(sessions.c.handle_engine, sessions.c.engine)
    where = case((sessions.c.handle_launch.is_(None), sessions.c.engine), else_=there)
    query = select(sessions.c.id, where).where(or_(sessions.c.state.in_(ALIVE), sessions.c.desired == "running"))
    return {row[0]: row[1] for row in await connection.execute(query)}


async def list_ids_of_workspace(connection: AsyncConnection, workspace_id: str, person_id: str | None) -> list[str]:
    """Ids of a workspace's sessions (of one person) that run or should."""
    query = select(sessions.c.id).where(
        sessions.c.workspace_id == workspace_id,
        or_(sessions.c.state.in_(ALIVE), sessions.c.desired == "running"),
    )
    if person_id is not None:
        query = query.where(sessions.c.person_id == person_id)
    return list((await connection.execute(query)).scalars())


async def list_reachable(connection: AsyncConnection, person_id: str) -> list[tuple[str, int, str]]:
    """A person's sessions that can be asked something, as (id, launch that runs, upstream)."""
    query = select(sessions.c.id, sessions.c.handle_launch, sessions.c.upstream).where(
        sessions.c.person_id == person_id,
        sessions.c.kind == SESSION,
        sessions.c.state.in_(ALIVE),
        sessions.c.upstream.is_not(None),
    )
    return [(row[0], row[1], row[2]) for row in await connection.execute(query)]


async def list_launches_alive(connection: AsyncConnection) -> set[str]:
    """The launches of all sessions that run, start or end, as their kernels' scope: `s-….3`."""
    query = select(sessions.c.id, sessions.c.handle_launch).where(
        sessions.c.state.in_(ALIVE), sessions.c.handle_launch.is_not(None)
    )
    return {f"{session_id}.{launch}" for session_id, launch in await connection.execute(query)}


async def list_wanted(connection: AsyncConnection) -> set[tuple[str, int]]:
    """Every (id, launch) that may have an object on an engine."""
    query = select(sessions.c.id, sessions.c.launch, sessions.c.handle_launch).where(
        or_(sessions.c.state.in_(ALIVE), sessions.c.desired == "running")
    )
    wanted: set[tuple[str, int]] = set()
    for session_id, launch, handle_launch in await connection.execute(query):
        wanted |= {(session_id, launch)} | ({(session_id, handle_launch)} if handle_launch else set())
    return wanted


async def insert_session(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add a session."""
    await connection.execute(insert(sessions).values(**values))


async def update_intent(connection: AsyncConnection, session_id: str, **values: Any) -> None:
    """Write what a person wants."""
    await connection.execute(update(sessions).where(sessions.c.id == session_id).values(**values))


async def claim(connection: AsyncConnection, session_id: str, owner: str) -> int:
    """Take the lease of a session; return the epoch that guards later writes."""
    await connection.execute(
        update(sessions)
        .where(sessions.c.id == session_id)
        .values(lease_owner=owner, lease_epoch=sessions.c.lease_epoch + 1)
    )
    return int(
        (await connection.execute(select(sessions.c.lease_epoch).where(sessions.c.id == session_id))).scalar_one()
    )


async def update_seen(
    connection: AsyncConnection, session_id: str, owner: str, epoch: int, launch: int | None, **values: Any
) -> bool:
    """Write what was seen, if the lease is still held and `launch` (None: any) still the one looked at."""
    which = (
        (sessions.c.id == session_id)
        & (sessions.c.lease_owner == owner)
        & (sessions.c.lease_epoch == epoch)
        & (true() if launch is None else sessions.c.launch == launch)
    )
    return bool((await connection.execute(update(sessions).where(which).values(**values))).rowcount)


def _activity() -> Any:
    columns = ("id", "kind", "name", "workspace_id", "launch", "activity")
    times = ("snoozed_until", "idle_since", "idle_stop_at")
    return select(*(sessions.c[name] for name in columns + times)).where(
        sessions.c.state == "running", sessions.c.desired == "running", sessions.c.handle_launch == sessions.c.launch
    )


async def list_activity(connection: AsyncConnection) -> list[RowMapping]:
    """What is known of the activity of all sessions that run and should."""
    return list((await connection.execute(_activity())).mappings())


async def find_activity(connection: AsyncConnection, session_id: str) -> RowMapping | None:
    """What is known of one session's activity; None when it does not run or should stop."""
    return (await connection.execute(_activity().where(sessions.c.id == session_id))).mappings().first()


async def set_idleness(connection: AsyncConnection, values: list[dict[str, Any]]) -> None:
    """Write idle_since and idle_stop_at of many sessions (`of_session`, `of_launch`) in one statement."""
    which = (sessions.c.id == bindparam("of_session")) & (sessions.c.launch == bindparam("of_launch"))
    query = update(sessions).where(which)
    await connection.execute(
        query.values(idle_since=bindparam("idle_since"), idle_stop_at=bindparam("idle_stop_at")), values
    )


async def list_open_to(connection: AsyncConnection, workspace_id: str, person_id: str | None) -> list[RowMapping]:
    """A workspace's sessions (of one person) that can be asked something: id, handle_launch, upstream, person_id."""
    query = select(sessions.c.id, sessions.c.handle_launch, sessions.c.upstream, sessions.c.person_id).where(
        sessions.c.workspace_id == workspace_id,
        sessions.c.kind == SESSION,
        sessions.c.state.in_(ALIVE),
        sessions.c.upstream.is_not(None),
    )
    if person_id is not None:
        query = query.where(sessions.c.person_id == person_id)
    return list((await connection.execute(query)).mappings())


def people_with_sessions() -> Select[tuple[str]]:
    """The ids of people with sessions alive."""
    return select(sessions.c.person_id).where(sessions.c.state.in_(ALIVE))
