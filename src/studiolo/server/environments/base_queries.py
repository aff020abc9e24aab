"""All SQL of the catalogue of bases."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import people
from studiolo.server.environments.tables import environment_bases as bases
from studiolo.server.workspaces.tables import workspaces


async def list_bases(connection: AsyncConnection) -> Sequence[RowMapping]:
    """Bases with who added them, by name."""
    return (await connection.execute(_query().order_by(bases.c.name))).mappings().all()


async def find_base(connection: AsyncConnection, name: str) -> RowMapping | None:
    """One base."""
    row: RowMapping | None = (await connection.execute(_query().where(bases.c.name == name))).mappings().first()
    return row


async def insert_base(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add a base."""
    await connection.execute(insert(bases).values(**values))


async def set_default(connection: AsyncConnection, name: str) -> None:
    """Have exactly this one be the default; a name that is no row: none."""
    await connection.execute(update(bases).values(is_default=bases.c.name == name))


async def delete_base(connection: AsyncConnection, name: str) -> None:
    """Remove a base."""
    await connection.execute(delete(bases).where(bases.c.name == name))


async def count_users(connection: AsyncConnection, name: str) -> int:
    """Number of workspaces, deleted ones that can come back among them, that begin from a base."""
    configs = (await connection.execute(select(workspaces.c.config))).scalars()
    return sum(((config or {}).get("environment") or {}).get("base") == name for config in configs)


def _query() -> Any:
    who = (people.c.name.label("maker_name"), people.c.display_name.label("maker_display_name"))
    return select(bases, *who).outerjoin(people, people.c.id == bases.c.made_by)
