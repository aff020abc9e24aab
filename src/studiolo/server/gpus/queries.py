"""All SQL of GPUs' leases and of those who wait."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, and_, case, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import people
from studiolo.server.gpus.tables import gpu_leases, gpu_waits
from studiolo.server.workspaces.tables import members, workspaces

_owner = people.alias("owner")


async def list_leases(connection: AsyncConnection, *, member_id: str = "") -> list[RowMapping]:
    """All leases, oldest first, with person and workspace; `is_seen`: whether a member may see the workspace."""
    seen = exists().where(members.c.workspace_id == workspaces.c.id, members.c.person_id == member_id)
    query = (
        select(
            gpu_leases,
            people.c.name.label("person_name"),
            people.c.display_name.label("person_display_name"),
            workspaces.c.name.label("workspace_name"),
            _owner.c.name.label("owner_name"),
            case((seen, True), else_=False).label("is_seen"),
        )
        .join(people, people.c.id == gpu_leases.c.person_id)
        .join(workspaces, workspaces.c.id == gpu_leases.c.workspace_id)
        .join(_owner, _owner.c.id == workspaces.c.owner_id)
        .order_by(gpu_leases.c.since, gpu_leases.c.gpu)
    )
    return list((await connection.execute(query)).mappings())


async def list_gpus_of(connection: AsyncConnection, holder: str, launch: int) -> list[str]:
    """What a holder was given, in a stable order."""
    query = select(gpu_leases.c.gpu).where(gpu_leases.c.holder == holder, gpu_leases.c.launch == launch)
    return list((await connection.execute(query.order_by(gpu_leases.c.gpu))).scalars())


async def delete_of(connection: AsyncConnection, holder: str, launch: int) -> None:
    """Drop what a holder had."""
    which = and_(gpu_leases.c.holder == holder, gpu_leases.c.launch == launch)
    await connection.execute(delete(gpu_leases).where(which))


async def take(connection: AsyncConnection, gpus: Collection[str], values: dict[str, Any]) -> None:
    """Lease `gpus`, of which the holder may have some from an earlier launch; `values`: the rest of each row."""
    mine = and_(
        gpu_leases.c.engine == values["engine"],
        gpu_leases.c.gpu.in_(list(gpus)),
        gpu_leases.c.holder == values["holder"],
    )
    kept = set((await connection.execute(select(gpu_leases.c.gpu).where(mine))).scalars())
    await connection.execute(update(gpu_leases).where(mine).values(launch=values["launch"]))
    if new := [values | {"gpu": gpu} for gpu in gpus if gpu not in kept]:
        await connection.execute(insert(gpu_leases), new)


async def list_waits(connection: AsyncConnection) -> list[RowMapping]:
    """Who waits, in the order in which they asked; not those who may not sign in."""
    query = select(gpu_waits).join(people, people.c.id == gpu_waits.c.person_id).where(people.c.disabled_at.is_(None))
    return list((await connection.execute(query.order_by(gpu_waits.c.since, gpu_waits.c.person_id))).mappings())


async def find_wait(connection: AsyncConnection, person_id: str) -> RowMapping | None:
    """What a person waits for."""
    query = select(gpu_waits).where(gpu_waits.c.person_id == person_id)
    return (await connection.execute(query)).mappings().first()


async def set_wait(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Have a person wait, for this in place of anything before."""
    await delete_waits(connection, [values["person_id"]])
    await connection.execute(insert(gpu_waits).values(**values))


async def set_told(connection: AsyncConnection, person_id: str, now: datetime) -> bool:
    """Note that a person was told; False if they were before."""
    query = update(gpu_waits).where(gpu_waits.c.person_id == person_id, gpu_waits.c.told_at.is_(None))
    return bool((await connection.execute(query.values(told_at=now))).rowcount)


async def delete_waits(connection: AsyncConnection, person_ids: Collection[str], engine: str | None = None) -> int:
    """Have these people wait no more (for an engine's); return how many did."""
    query = delete(gpu_waits).where(gpu_waits.c.person_id.in_(list(person_ids)))
    if engine is not None:
        query = query.where(gpu_waits.c.engine == engine)
    return (await connection.execute(query)).rowcount
