"""All SQL of sizes."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import RowMapping, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import people
from studiolo.server.disk.tables import workspace_sizes
from studiolo.server.workspaces.tables import workspaces


async def list_to_measure(connection: AsyncConnection, before: datetime, limit: int) -> list[RowMapping]:
    """Workspaces never measured, then those measured before a time or before they were changed, longest ago first.

    id, root and config of each.
    """
    table = workspace_sizes
    query = (
        select(workspaces.c.id, workspaces.c.root, workspaces.c.config)
        .join(table, table.c.workspace_id == workspaces.c.id, isouter=True)
        .where(workspaces.c.erased_at.is_(None))
        .where(
            table.c.measured_at.is_(None)
            | (table.c.measured_at < before)
            | (table.c.measured_at < workspaces.c.modified_at)
        )
        .order_by(table.c.measured_at.nulls_first())
    )
    return list((await connection.execute(query.limit(limit))).mappings())


async def write_sizes(connection: AsyncConnection, sizes: dict[str, int | None], at: datetime) -> None:
    """Replace what is known of some workspaces."""
    if sizes:
        await connection.execute(delete(workspace_sizes).where(workspace_sizes.c.workspace_id.in_(sizes)))
        rows = [{"workspace_id": one, "size": size, "measured_at": at} for one, size in sizes.items()]
        await connection.execute(insert(workspace_sizes), rows)


async def list_sizes(connection: AsyncConnection, workspace_ids: Iterable[str]) -> dict[str, int]:
    """The sizes in bytes of those that are known, by workspace."""
    table = workspace_sizes
    query = select(table.c.workspace_id, table.c.size).where(
        table.c.workspace_id.in_(list(workspace_ids)), table.c.size.is_not(None)
    )
    return {row.workspace_id: row.size for row in await connection.execute(query)}


async def list_largest(connection: AsyncConnection, limit: int) -> list[RowMapping]:
    """The largest workspaces, those in the trash too: id, name, owner_name, size, measured_at."""
    table = workspace_sizes
    query = (
        select(workspaces.c.id, workspaces.c.name, people.c.name.label("owner_name"), table.c.size, table.c.measured_at)
        .join(workspaces, workspaces.c.id == table.c.workspace_id)
        .join(people, people.c.id == workspaces.c.owner_id)
        .where(table.c.size.is_not(None), workspaces.c.erased_at.is_(None))
        .order_by(table.c.size.desc())
    )
    return list((await connection.execute(query.limit(limit))).mappings())
