"""All SQL of environments' builds."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import people
from studiolo.server.environments.tables import environment_builds as builds
from studiolo.server.packages.tables import package_deliveries as deliveries

FIRST = 1


async def insert_build(
    connection: AsyncConnection, workspace_id: str, values: Mapping[str, Any], *, is_first: bool = False
) -> int:
    """Add a build and return its number, the next one of its workspace, whose row is locked.

    1 is the base's (`is_first`), also where others are asked for before it is there.
    """
    number = FIRST if is_first else max(await last_number(connection, workspace_id), FIRST) + 1
    await connection.execute(insert(builds).values(workspace_id=workspace_id, number=number, **values))
    return number


async def last_number(connection: AsyncConnection, workspace_id: str) -> int:
    """The highest number of a workspace's builds; 0 without one."""
    query = select(func.max(builds.c.number)).where(builds.c.workspace_id == workspace_id)
    return int((await connection.execute(query)).scalar() or 0)


async def end_build(connection: AsyncConnection, workspace_id: str, number: int, values: Mapping[str, Any]) -> bool:
    """Write how a build ended; False when it had ended already."""
    query = update(builds).where(
        builds.c.workspace_id == workspace_id, builds.c.number == number, builds.c.state == "building"
    )
    return bool((await connection.execute(query.values(**values))).rowcount)


async def find_seen(connection: AsyncConnection, workspace_id: str) -> str | None:
    """Which state of the environment's folders the live build is of."""
    query = select(builds.c.seen).where(builds.c.workspace_id == workspace_id, builds.c.state == "ready")
    return (await connection.execute(query.order_by(builds.c.number.desc()).limit(1))).scalar()


async def set_seen(connection: AsyncConnection, workspace_id: str, number: int, seen: str) -> None:
    """Write which state of the environment's folders a build is of."""
    query = update(builds).where(builds.c.workspace_id == workspace_id, builds.c.number == number)
    await connection.execute(query.values(seen=seen))


async def find_build(connection: AsyncConnection, workspace_id: str, number: int) -> RowMapping | None:
    """One build, with who asked for it."""
    return await _first(connection, workspace_id, builds.c.number == number)


async def find_live(connection: AsyncConnection, workspace_id: str) -> RowMapping | None:
    """The live build: the ready one with the highest number."""
    return await _first(connection, workspace_id, builds.c.state == "ready")


async def find_next(connection: AsyncConnection, workspace_id: str) -> RowMapping | None:
    """The build that is to be made next, or is being made."""
    return await _first(connection, workspace_id, builds.c.state == "building", newest=False)


async def list_builds(
    connection: AsyncConnection, workspace_id: str, *, before: int | None, limit: int
) -> Sequence[RowMapping]:
    """Builds, newest first."""
    query = _query(workspace_id).order_by(builds.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(builds.c.number < before)
    return (await connection.execute(query)).mappings().all()


async def list_ready(connection: AsyncConnection, workspace_id: str, *, limit: int) -> Sequence[RowMapping]:
    """Builds that are or were live, newest first."""
    query = _query(workspace_id).where(builds.c.state == "ready").order_by(builds.c.number.desc()).limit(limit)
    return (await connection.execute(query)).mappings().all()


async def list_by_hash(connection: AsyncConnection, hash_: str, *, limit: int) -> Sequence[RowMapping]:
    """Builds of all workspaces that hold what this hash names, newest first."""
    query = select(builds).where(builds.c.hash == hash_, builds.c.state == "ready").order_by(builds.c.made_at.desc())
    return (await connection.execute(query.limit(limit))).mappings().all()


async def list_waiting(connection: AsyncConnection) -> list[str]:
    """Workspaces with a build to be made."""
    query = select(builds.c.workspace_id).where(builds.c.state == "building").distinct()
    return list((await connection.execute(query)).scalars())


async def list_delivered(
    connection: AsyncConnection, workspace_id: str, fingerprints: Sequence[str]
) -> Sequence[RowMapping]:
    """What the index handed out to a workspace, by fingerprint or a file's SHA-256; the newest last."""
    query = (
        select(deliveries)
        .where(
            deliveries.c.workspace_id == workspace_id,
            deliveries.c.fingerprint.in_(fingerprints) | deliveries.c.sha256.in_(fingerprints),
        )
        .order_by(deliveries.c.at)
    )
    return (await connection.execute(query)).mappings().all()


def changes_of(row: RowMapping) -> list[dict[str, Any]]:
    """What a build changed."""
    return list(json.loads(row["changes"] or "[]"))


def _query(workspace_id: str) -> Any:
    who = (people.c.name.label("maker_name"), people.c.display_name.label("maker_display_name"))
    query = select(builds, *who).outerjoin(people, people.c.id == builds.c.made_by)
    return query.where(builds.c.workspace_id == workspace_id)


async def _first(
    connection: AsyncConnection, workspace_id: str, condition: Any, *, newest: bool = True
) -> RowMapping | None:
    order = builds.c.number.desc() if newest else builds.c.number
    query = _query(workspace_id).where(condition).order_by(order).limit(1)
    row: RowMapping | None = (await connection.execute(query)).mappings().first()
    return row
