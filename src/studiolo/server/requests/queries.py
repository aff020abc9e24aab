"""SQL of requests for packages."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import people
from studiolo.server.requests.tables import package_request_people, package_requests
from studiolo.server.workspaces.tables import members, workspaces

_owner, _decider = people.alias("owner"), people.alias("decider")
_asked = package_request_people


def _requests() -> Any:
    """Requests in live workspaces, with the workspace's names and who decided."""
    joined = (
        package_requests.join(workspaces, workspaces.c.id == package_requests.c.workspace_id)
        .join(_owner, _owner.c.id == workspaces.c.owner_id)
        .join(_decider, _decider.c.id == package_requests.c.decided_by, isouter=True)
    )
    return (
        select(
            package_requests,
            workspaces.c.name.label("workspace_name"),
            _owner.c.name.label("owner_name"),
            _decider.c.name.label("decider_name"),
            _decider.c.display_name.label("decider_display_name"),
        )
        .select_from(joined)
        .where(workspaces.c.deleted_at.is_(None))
    )


async def list_requests(
    connection: AsyncConnection,
    *,
    seen_by: str | None = None,
    of: str | None = None,
    workspace_id: str | None = None,
    state: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int,
) -> list[RowMapping]:
    """Return requests, newest first. `seen_by`: in workspaces of that member; `of`: that this person asked for."""
    at, key = package_requests.c.asked_at, package_requests.c.id
    query = _requests()
    if seen_by is not None:
        theirs = select(members.c.workspace_id).where(members.c.person_id == seen_by)
        query = query.where(package_requests.c.workspace_id.in_(theirs))
    if of is not None:
        query = query.where(key.in_(select(_asked.c.request_id).where(_asked.c.person_id == of)))
    if workspace_id is not None:
        query = query.where(package_requests.c.workspace_id == workspace_id)
    if state is not None:
        query = query.where(package_requests.c.state == state)
    if after is not None:
        query = query.where(or_(at < after[0], and_(at == after[0], key < after[1])))
    found = await connection.execute(query.order_by(at.desc(), key.desc()).limit(limit))
    return list(found.mappings())


async def count_pending(connection: AsyncConnection) -> int:
    """Return how many requests in live workspaces wait for a decision."""
    query = select(func.count()).select_from(_requests().where(package_requests.c.state == "pending").subquery())
    return int((await connection.execute(query)).scalar_one())


async def list_waits(connection: AsyncConnection, limit: int) -> list[timedelta]:
    """Return how long the requests that were decided last had waited."""
    query = select(package_requests.c.asked_at, package_requests.c.decided_at)
    query = query.where(package_requests.c.state.in_(("approved", "denied")))
    found = await connection.execute(query.order_by(package_requests.c.decided_at.desc()).limit(limit))
    return [row.decided_at - row.asked_at for row in found]


async def find_request(connection: AsyncConnection, request_id: str) -> RowMapping | None:
    """Return a request in a live workspace."""
    return (await connection.execute(_requests().where(package_requests.c.id == request_id))).mappings().first()


async def list_pending_of_name(
    connection: AsyncConnection, ecosystem: str, name: str, *, workspace_id: str | None = None
) -> list[RowMapping]:
    """Return the requests for a package that wait for a decision, in one workspace or in all."""
    query = _requests().where(package_requests.c.ecosystem == ecosystem, package_requests.c.name == name)
    query = query.where(package_requests.c.state == "pending").order_by(package_requests.c.asked_at)
    if workspace_id is not None:
        query = query.where(package_requests.c.workspace_id == workspace_id)
    return list((await connection.execute(query)).mappings())


async def list_due(connection: AsyncConnection) -> list[str]:
    """Return the ids of requests for which something is to be done: work out what comes along, or install."""
    query = _requests().where(
        or_(
            and_(package_requests.c.state == "pending", package_requests.c.closure.contains('"state":"pending"')),
            package_requests.c.install_state.in_(("wanted", "building")),
        )
    )
    return [row["id"] for row in (await connection.execute(query)).mappings()]


async def insert_request(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add a request."""
    await connection.execute(insert(package_requests).values(**values))


async def update_request(
    connection: AsyncConnection, request_id: str, values: Mapping[str, Any], *, state: str | None = None
) -> bool:
    """Change a request, where `state` is given only while it is in that state; tell whether it was."""
    query = update(package_requests).where(package_requests.c.id == request_id)
    if state is not None:
        query = query.where(package_requests.c.state == state)
    return (await connection.execute(query.values(**values))).rowcount > 0


async def list_askers(connection: AsyncConnection, ids: Sequence[str]) -> list[RowMapping]:
    """Return who asked for these, the first one first."""
    query = select(_asked, people.c.name, people.c.display_name).join(people, people.c.id == _asked.c.person_id)
    query = query.where(_asked.c.request_id.in_(list(ids))).order_by(_asked.c.asked_at, people.c.name)
    return list((await connection.execute(query)).mappings())


async def add_asker(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add somebody to a request, or put their new words, if they have some, in place of the old ones."""
    key = (_asked.c.request_id == values["request_id"]) & (_asked.c.person_id == values["person_id"])
    changed = {"specifier": values["specifier"]} | ({"purpose": values["purpose"]} if values["purpose"] else {})
    if not (await connection.execute(update(_asked).where(key).values(**changed))).rowcount:
        await connection.execute(insert(_asked).values(**values))


async def remove_asker(connection: AsyncConnection, request_id: str, person_id: str) -> bool:
    """Take somebody off a request; tell whether they were on it."""
    key = (_asked.c.request_id == request_id) & (_asked.c.person_id == person_id)
    return (await connection.execute(delete(_asked).where(key))).rowcount > 0


async def clear_purposes(connection: AsyncConnection, person_id: str) -> None:
    """Forget what a person wrote when they asked."""
    await connection.execute(update(_asked).where(_asked.c.person_id == person_id).values(purpose=""))
