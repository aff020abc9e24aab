"""All SQL of sign-ins begun on machines without a browser."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import device_codes as codes


async def insert_device(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add a sign-in."""
    await connection.execute(insert(codes).values(**values))


async def count_pending(connection: AsyncConnection, asked_from: str) -> tuple[int, int]:
    """Number of sign-ins in all and from one address; delete the expired ones before."""
    here = func.count().filter(codes.c.asked_from == asked_from)
    row = (await connection.execute(select(func.count(), here).select_from(codes))).one()
    return int(row[0]), int(row[1])


async def find_by_device(connection: AsyncConnection, device_hash: str) -> RowMapping | None:
    """Find by the program's code."""
    return (await connection.execute(select(codes).where(codes.c.device_hash == device_hash))).mappings().first()


async def find_by_user(connection: AsyncConnection, user_code: str) -> RowMapping | None:
    """Find by the hash of the person's code."""
    return (await connection.execute(select(codes).where(codes.c.user_code == user_code))).mappings().first()


async def update_device(connection: AsyncConnection, device_hash: str, values: Mapping[str, Any]) -> None:
    """Write the answer."""
    await connection.execute(update(codes).where(codes.c.device_hash == device_hash).values(**values))


async def take_device(connection: AsyncConnection, device_hash: str) -> bool:
    """Use a sign-in up; False if that has happened already."""
    return bool((await connection.execute(delete(codes).where(codes.c.device_hash == device_hash))).rowcount)


async def delete_expired(connection: AsyncConnection, now: datetime) -> None:
    """Drop what nobody answered in time."""
    await connection.execute(delete(codes).where(codes.c.expires_at <= now))
