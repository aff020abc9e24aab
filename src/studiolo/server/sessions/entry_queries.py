"""All SQL of the codes and cookies by which browsers enter sessions."""

from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.sessions.tables import entries, entry_codes


async def insert_code(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add a single-use code."""
    await connection.execute(insert(entry_codes).values(**values))


async def take_code(connection: AsyncConnection, code_hash: str, now: datetime) -> RowMapping | None:
    """Use a code up; drops expired ones on the way."""
    row = (await connection.execute(select(entry_codes).where(entry_codes.c.code_hash == code_hash))).mappings().first()
    await connection.execute(
        delete(entry_codes).where(or_(entry_codes.c.code_hash == code_hash, entry_codes.c.expires_at < now))
    )
    return row if row is not None and row["expires_at"] >= now else None


async def insert_entry(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add the record behind a session's cookie."""
    await connection.execute(insert(entries).values(**values))


async def find_entry(connection: AsyncConnection, token_hash: str) -> RowMapping | None:
    """The record behind a session's cookie."""
    return (await connection.execute(select(entries).where(entries.c.token_hash == token_hash))).mappings().first()
