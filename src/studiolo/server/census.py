"""How much of everything there is, in one query."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, ScalarSelect, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import people
from studiolo.server.sessions.tables import sessions
from studiolo.server.workspaces.tables import workspaces


@dataclass(frozen=True, slots=True)
class Census:
    """Numbers of what is alive. `idle_sessions` run, and nothing happens in them."""

    people: int
    workspaces: int
    running_sessions: int
    idle_sessions: int


async def take_census(connection: AsyncConnection) -> Census:
    """Count."""
    running = sessions.c.state == "running"
    query = select(
        _count(people, people.c.erased_at.is_(None)),
        _count(workspaces, workspaces.c.deleted_at.is_(None)),
        _count(sessions, running),
        _count(sessions, running, sessions.c.idle_since.is_not(None)),
    )
    return Census(*(await connection.execute(query)).one())


def _count(table: Table, *conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).select_from(table).where(*conditions).scalar_subquery()
