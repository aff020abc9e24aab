"""SQL of notifications."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.notifications.tables import notifications


async def insert_notification(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add one."""
    await connection.execute(insert(notifications).values(**values))


async def list_notifications(
    connection: AsyncConnection, person_id: str, *, unread: bool, after: tuple[datetime, str] | None, limit: int
) -> list[RowMapping]:
    """Return a person's, newest first; `after`: time and id of the row that ends the page before."""
    at, key = notifications.c.at, notifications.c.id
    query = select(notifications).where(notifications.c.person_id == person_id)
    if unread:
        query = query.where(notifications.c.read_at.is_(None))
    if after is not None:
        query = query.where(or_(at < after[0], and_(at == after[0], key < after[1])))
    found = await connection.execute(query.order_by(at.desc(), key.desc()).limit(limit))
    return list(found.mappings())


async def count_unread(connection: AsyncConnection, person_id: str) -> int:
    """Return how many a person has not seen."""
    query = select(func.count()).where(notifications.c.person_id == person_id, notifications.c.read_at.is_(None))
    return int((await connection.execute(query)).scalar_one())


async def find_notification(connection: AsyncConnection, person_id: str, notification_id: str) -> RowMapping | None:
    """Return one of a person's."""
    query = select(notifications).where(notifications.c.person_id == person_id, notifications.c.id == notification_id)
    return (await connection.execute(query)).mappings().first()


async def mark_read(connection: AsyncConnection, person_id: str, ids: Collection[str] | None, at: datetime) -> int:
    """Mark a person's as seen, those of `ids` or all; return how many were not."""
    query = update(notifications).where(notifications.c.person_id == person_id, notifications.c.read_at.is_(None))
    if ids is not None:
        query = query.where(notifications.c.id.in_(list(ids)))
    return (await connection.execute(query.values(read_at=at))).rowcount


async def delete_before(connection: AsyncConnection, at: datetime) -> None:
    """Forget what people were told before a moment."""
    await connection.execute(delete(notifications).where(notifications.c.at < at))


async def delete_of(connection: AsyncConnection, person_id: str) -> None:
    """Forget all that a person was told."""
    await connection.execute(delete(notifications).where(notifications.c.person_id == person_id))


async def list_naming(connection: AsyncConnection, name: str) -> list[RowMapping]:
    """Return what anybody was told that has a name in it, perhaps as part of a word."""
    query = select(notifications).where(notifications.c.text.contains(name, autoescape=True))
    return list((await connection.execute(query)).mappings())


async def set_text(connection: AsyncConnection, notification_id: str, text: str) -> None:
    """Say it in other words."""
    await connection.execute(update(notifications).where(notifications.c.id == notification_id).values(text=text))
