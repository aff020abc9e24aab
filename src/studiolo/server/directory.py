"""Who is here and what each can reach: people with their workspaces, keys, logins and sessions, for administrators."""

from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import RowMapping, ScalarSelect, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import NotFound
from studiolo.contract.models import Page, Person, WorkspaceRef
from studiolo.contract.operations import Role
from studiolo.contract.people import PersonAccess, WorkspaceAccess
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.accounts import queries
from studiolo.server.accounts.keys import key_info
from studiolo.server.accounts.service import login_info
from studiolo.server.accounts.tables import people
from studiolo.server.principal import Principal
from studiolo.server.sessions import usage_queries
from studiolo.server.sessions.queries import ALIVE
from studiolo.server.sessions.service import Sessions
from studiolo.server.sessions.tables import sessions
from studiolo.server.workspaces.tables import members, workspaces

Kind = Literal["administrators", "suspended"]
_USAGE = timedelta(days=30)


class Directory:
    """Looks people up; changes nothing."""

    def __init__(self, db: Database, clock: Clock, sessions: Sessions) -> None:
        self._db = db
        self._clock = clock
        self._sessions = sessions

    async def list_people(
        self,
        who: Principal,
        *,
        text: str | None = None,
        kind: Kind | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Person]:
        """Return people by name. `text`: part of a name or address; `kind`: only those."""
        who.require("person.list")
        query = _described().order_by(people.c.name).limit(limit + 1)
        if text:
            columns = (people.c.name, people.c.display_name, people.c.email)
            query = query.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
        if kind is not None:
            query = query.where(people.c.is_admin if kind == "administrators" else people.c.disabled_at.is_not(None))
        if cursor is not None:
            query = query.where(people.c.name > cursor)
        async with self._db.read() as connection:
            rows = list((await connection.execute(query)).mappings())
            items = await self._people(connection, rows[:limit])
        return Page(items=items, next_cursor=items[-1].name if len(rows) > limit else None)

    async def access(self, who: Principal, person: str) -> PersonAccess:
        """Return all that one person can reach; raises NotFound (`person-not-found`)."""
        who.require("person.read")
        now = self._clock.now()
        async with self._db.read() as connection:
            found = await queries.find_person(connection, person)
            if found is None:
                raise NotFound("person-not-found", f"There is no person {person[:64]!r}.", hint="studiolo people list")
            person_id: str = found["id"]
            rows = list((await connection.execute(_described().where(people.c.id == person_id))).mappings())
            there = await usage_queries.list_last_there(connection, now, person_id=person_id)
            memberships = (await connection.execute(_memberships(person_id))).mappings()
            return PersonAccess(
                person=(await self._people(connection, rows))[0],
                workspaces=[_access(row, there) for row in memberships],
                keys=[key_info(row) for row in await queries.list_keys(connection, person_id)],
                logins=[
                    login_info(row, who.login_id)
                    for row in await queries.list_logins(connection, person_id)
                    if row["expires_at"] > now
                ],
                sessions=await self._sessions.list_of_person(connection, person_id),
            )

    async def _people(self, connection: AsyncConnection, rows: list[RowMapping]) -> list[Person]:
        now = self._clock.now()
        hours = await usage_queries.sum_hours(connection, [row["id"] for row in rows], now - _USAGE, now)
        return [
            Person(
                id=row["id"],
                name=row["name"],
                display_name=row["display_name"],
                email=row["email"],
                is_admin=row["is_admin"],
                created_at=row["created_at"],
                last_seen_at=row["last_seen_at"],
                suspended_at=row["disabled_at"],
                workspaces=row["workspaces"],
                running_sessions=row["running_sessions"],
                session_hours=round(hours.get(row["id"], 0.0), 1),
            )
            for row in rows
        ]


def _described() -> Any:
    return select(people, _workspaces_of().label("workspaces"), _running_of().label("running_sessions")).where(
        people.c.erased_at.is_(None)
    )


def _workspaces_of() -> ScalarSelect[int]:
    query = select(func.count()).select_from(members.join(workspaces, workspaces.c.id == members.c.workspace_id))
    return query.where(members.c.person_id == people.c.id, workspaces.c.deleted_at.is_(None)).scalar_subquery()


def _running_of() -> ScalarSelect[int]:
    query = select(func.count()).select_from(sessions)
    return query.where(sessions.c.person_id == people.c.id, sessions.c.state.in_(ALIVE)).scalar_subquery()


def _memberships(person_id: str) -> Any:
    owner = people.alias("owner")
    query = select(members, workspaces.c.name, owner.c.name.label("owner_name"))
    query = query.join(workspaces, workspaces.c.id == members.c.workspace_id)
    query = query.join(owner, owner.c.id == workspaces.c.owner_id)
    query = query.where(members.c.person_id == person_id, workspaces.c.deleted_at.is_(None))
    return query.order_by(owner.c.name, workspaces.c.name)


def _access(row: RowMapping, there: dict[tuple[str, str], Any]) -> WorkspaceAccess:
    return WorkspaceAccess(
        workspace=WorkspaceRef(id=row["workspace_id"], name=row["name"], owner=row["owner_name"]),
        role=Role(row["role"]),
        since=row["since"],
        through=row["through"],
        last_there_at=there.get((row["workspace_id"], row["person_id"])),
    )
