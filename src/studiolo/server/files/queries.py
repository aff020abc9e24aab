"""SQL of files: whom they name, and where they lie."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.models import PersonRef
from studiolo.server.accounts.tables import people
from studiolo.server.workspaces.tables import workspaces


async def find_people(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, PersonRef]:
    """Return people by id, those of them who are known: who wrote or deleted files."""
    query = select(people.c.id, people.c.name, people.c.display_name).where(people.c.id.in_(set(ids)))
    rows = (await connection.execute(query)).mappings()
    return {row["id"]: PersonRef(id=row["id"], name=row["name"], display_name=row["display_name"]) for row in rows}


async def list_folders(connection: AsyncConnection, *, after: str, limit: int) -> list[tuple[str, str | None]]:
    """Return (id, folder of the machine) of workspaces by id, deleted ones too; None: a folder in our own place."""
    query = select(workspaces.c.id, workspaces.c.root).where(workspaces.c.id > after)
    rows = await connection.execute(query.order_by(workspaces.c.id).limit(limit))
    return [(row.id, row.root) for row in rows]
