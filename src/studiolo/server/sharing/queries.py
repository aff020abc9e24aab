"""All SQL of shares."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping, and_, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import people
from studiolo.server.sharing.tables import shares

_WITH_PERSON = select(
    shares, people.c.name.label("person_name"), people.c.display_name.label("person_display_name")
).join(people, people.c.id == shares.c.shared_by)


async def list_shares(
    connection: AsyncConnection, workspace_id: str, after: RowMapping | None, limit: int
) -> list[RowMapping]:
    """List a workspace's shares, newest first, those older than `after`."""
    query = _WITH_PERSON.where(shares.c.workspace_id == workspace_id)
    if after is not None:
        older = and_(shares.c.at == after["at"], shares.c.id < after["id"])
        query = query.where(or_(shares.c.at < after["at"], older))
    query = query.order_by(shares.c.at.desc(), shares.c.id.desc()).limit(limit)
    return list((await connection.execute(query)).mappings())


async def find_share(connection: AsyncConnection, workspace_id: str, share_id: str) -> RowMapping | None:
    """Find a share of a workspace by id."""
    query = _WITH_PERSON.where(shares.c.workspace_id == workspace_id, shares.c.id == share_id)
    return (await connection.execute(query)).mappings().first()


async def find_path(connection: AsyncConnection, workspace_id: str, path: str) -> RowMapping | None:
    """Find a share of a workspace by path."""
    query = _WITH_PERSON.where(shares.c.workspace_id == workspace_id, shares.c.path == path)
    return (await connection.execute(query)).mappings().first()


async def insert_share(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add a share."""
    await connection.execute(insert(shares).values(**values))


async def delete_share(connection: AsyncConnection, share_id: str) -> None:
    """Remove a share."""
    await connection.execute(delete(shares).where(shares.c.id == share_id))
