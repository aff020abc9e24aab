"""All SQL of what sessions use: samples, launches that ended, notebooks that were run."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.sessions.queries import ALIVE
from studiolo.server.sessions.tables import executions, launches, session_usage, sessions
from studiolo.server.workspaces.tables import workspaces

KEPT = timedelta(hours=1)
_EXECUTIONS_KEPT = 200


async def list_measurable(connection: AsyncConnection) -> list[RowMapping]:
    """Sessions that run on their engine now, as far as is known."""
    columns = (
        sessions.c.id,
        sessions.c.name,
        sessions.c.workspace_id,
        sessions.c.person_id,
        sessions.c.engine,
        sessions.c.handle_engine,
        sessions.c.handle,
        sessions.c.handle_launch,
        sessions.c.launch,
        sessions.c.usage,
        sessions.c.deaths,
        workspaces.c.name.label("workspace_name"),
    )
    query = (
        select(*columns)
        .join(workspaces, workspaces.c.id == sessions.c.workspace_id)
        .where(sessions.c.state == "running", sessions.c.handle_launch == sessions.c.launch)
    )
    return list((await connection.execute(query)).mappings())


async def add_samples(connection: AsyncConnection, samples: Sequence[dict[str, Any]], now: datetime) -> None:
    """Write one pass: each sample holds session_id, launch, at, cpu, memory, processes and `usage` for the row.

    Three statements whatever the number of sessions. What is older than an hour goes.
    """
    if samples:
        kept = [{key: sample[key] for key in ("session_id", "at", "cpu", "memory", "processes")} for sample in samples]
        await connection.execute(insert(session_usage), kept)
        which = (sessions.c.id == bindparam("of_session")) & (sessions.c.launch == bindparam("of_launch"))
        query = update(sessions).where(which).values(usage=bindparam("now_used"))
        last = [
            {"of_session": sample["session_id"], "of_launch": sample["launch"], "now_used": sample["usage"]}
            for sample in samples
        ]
        await connection.execute(query, last)
    await connection.execute(delete(session_usage).where(session_usage.c.at < now - KEPT))


async def list_samples(connection: AsyncConnection, session_id: str, since: datetime) -> list[RowMapping]:
    """A session's samples, oldest first."""
    query = select(session_usage).where(session_usage.c.session_id == session_id, session_usage.c.at >= since)
    return list((await connection.execute(query.order_by(session_usage.c.at))).mappings())


async def list_memory(
    connection: AsyncConnection, session_ids: Sequence[str], since: datetime
) -> list[tuple[str, datetime, int | None]]:
    """The memory of several sessions' samples as (session, at, bytes), oldest first."""
    query = select(session_usage.c.session_id, session_usage.c.at, session_usage.c.memory).where(
        session_usage.c.session_id.in_(session_ids), session_usage.c.at >= since
    )
    return [(row[0], row[1], row[2]) for row in await connection.execute(query.order_by(session_usage.c.at))]


async def insert_launch(
    connection: AsyncConnection, row: RowMapping, *, ended_at: datetime, memory_peak: int | None, reason: str | None
) -> None:
    """Write down what a launch used in all; one that the engine never took on used nothing. Repeatable."""
    if row["started_at"] is None:
        return
    used = row["usage"] or {}
    peaks = [peak for peak in (memory_peak, used.get("memory_peak")) if peak is not None]
    which = (launches.c.session_id == row["id"]) & (launches.c.launch == row["launch"])
    await connection.execute(delete(launches).where(which))
    await connection.execute(
        insert(launches).values(
            session_id=row["id"],
            launch=row["launch"],
            workspace_id=row["workspace_id"],
            person_id=row["person_id"],
            started_at=row["started_at"],
            # A clock that was put back meanwhile makes no negative times.
            ended_at=max(ended_at, row["started_at"]),
            cpu_seconds=used.get("cpu_seconds"),
            memory_peak=max(peaks) if peaks else None,
            reason=reason[:40] if reason else None,
        )
    )


async def list_launches(connection: AsyncConnection, workspace_id: str) -> list[RowMapping]:
    """When each ended launch of a workspace ran and what it used."""
    columns = (launches.c.started_at, launches.c.ended_at, launches.c.cpu_seconds, launches.c.memory_peak)
    query = select(*columns).where(launches.c.workspace_id == workspace_id)
    return list((await connection.execute(query)).mappings())


async def list_last_there(
    connection: AsyncConnection, now: datetime, *, workspace_id: str | None = None, person_id: str | None = None
) -> dict[tuple[str, str], datetime]:
    """When people last had a session, by (workspace, person); `now` where they have one. Of a workspace or person."""
    found: dict[tuple[str, str], datetime] = {}
    ended = select(launches.c.workspace_id, launches.c.person_id, func.max(launches.c.ended_at))
    alive = select(sessions.c.workspace_id, sessions.c.person_id, func.max(sessions.c.created_at))
    alive = alive.where(sessions.c.state.in_(ALIVE))
    for table, query in ((launches, ended), (sessions, alive)):
        if workspace_id is not None:
            query = query.where(table.c.workspace_id == workspace_id)
        if person_id is not None:
            query = query.where(table.c.person_id == person_id)
        for workspace, person, at in await connection.execute(query.group_by(table.c.workspace_id, table.c.person_id)):
            found[workspace, person] = now if table is sessions else at
    return found


async def sum_hours(
    connection: AsyncConnection, people: Sequence[str], since: datetime, now: datetime
) -> dict[str, float]:
    """Hours that sessions of people ran since a time, by person; those alive count until `now`."""
    ended = select(launches.c.person_id, launches.c.started_at, launches.c.ended_at)
    ended = ended.where(launches.c.person_id.in_(people), launches.c.ended_at > since)
    alive = select(sessions.c.person_id, sessions.c.started_at).where(
        sessions.c.person_id.in_(people),
        sessions.c.state.in_(ALIVE),
        sessions.c.started_at.is_not(None),
    )
    spans = [tuple(row) for row in await connection.execute(ended)]
    spans += [(person, began, now) for person, began in await connection.execute(alive)]
    hours: dict[str, float] = {}
    for person, began, end in spans:
        hours[person] = hours.get(person, 0.0) + max(0.0, (end - max(began, since)).total_seconds()) / 3600
    return hours


async def list_alive(connection: AsyncConnection, workspace_id: str) -> list[RowMapping]:
    """What is known of the use of a workspace's sessions alive: usage, activity and when each began."""
    query = select(sessions.c.state, sessions.c.usage, sessions.c.activity, sessions.c.started_at).where(
        sessions.c.workspace_id == workspace_id, sessions.c.state.in_(ALIVE)
    )
    return list((await connection.execute(query)).mappings())


async def note_execution(
    connection: AsyncConnection, workspace_id: str, path: str, at: datetime, session_id: str
) -> None:
    """Remember when a notebook was last run; a workspace's latest two hundred are kept."""
    same = (executions.c.workspace_id == workspace_id) & (executions.c.path == path)
    values = {"at": at, "session_id": session_id}
    found = await connection.execute(update(executions).where(same).values(**values))
    if found.rowcount:
        return
    await connection.execute(insert(executions).values(workspace_id=workspace_id, path=path, **values))
    latest = (
        select(executions.c.at)
        .where(executions.c.workspace_id == workspace_id)
        .order_by(executions.c.at.desc())
        .offset(_EXECUTIONS_KEPT - 1)
        .limit(1)
        .scalar_subquery()
    )
    await connection.execute(
        delete(executions).where(executions.c.workspace_id == workspace_id, executions.c.at < latest)
    )


async def list_executions(connection: AsyncConnection, workspace_id: str, limit: int) -> list[RowMapping]:
    """Notebooks last run, newest first, with the session's name where it is still known."""
    query = (
        select(executions.c.path, executions.c.at, sessions.c.name.label("session"))
        .join(sessions, sessions.c.id == executions.c.session_id, isouter=True)
        .where(executions.c.workspace_id == workspace_id)
    )
    return list((await connection.execute(query.order_by(executions.c.at.desc()).limit(limit))).mappings())


async def set_deaths(connection: AsyncConnection, session_id: str, launch: int, deaths: list[dict[str, Any]]) -> None:
    """Write what of a launch ran out of memory, newest first."""
    which = (sessions.c.id == session_id) & (sessions.c.launch == launch)
    await connection.execute(update(sessions).where(which).values(deaths=deaths))


async def find_deaths(connection: AsyncConnection, session_id: str, launch: int) -> list[dict[str, Any]] | None:
    """What of a launch ran out of memory; None when the launch is another by now."""
    query = select(sessions.c.deaths).where(sessions.c.id == session_id, sessions.c.launch == launch)
    found = (await connection.execute(query)).first()
    return None if found is None else list(found[0] or [])
