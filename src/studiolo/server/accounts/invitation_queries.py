"""All SQL of invitations."""

from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import invitations, people

_COLUMNS = (
    people.c.name.label("inviter_name"),
    people.c.display_name.label("inviter_display_name"),
    people.c.is_admin.label("inviter_is_admin"),
    people.c.disabled_at.label("inviter_disabled_at"),
)


def _described() -> Any:
    return select(invitations, *_COLUMNS).join(people, people.c.id == invitations.c.invited_by, isouter=True)


async def insert_invitation(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add an invitation; earlier ones of the same person end."""
    same = (invitations.c.name == values["name"]) if values["name"] else (invitations.c.email == values["email"])
    await connection.execute(delete(invitations).where(same))
    await connection.execute(insert(invitations).values(**values))


async def find_invitation(connection: AsyncConnection, invitation_id: str) -> RowMapping | None:
    """An invitation with who made it."""
    query = _described().where(invitations.c.id == invitation_id)
    return (await connection.execute(query)).mappings().first()


async def find_by_token(connection: AsyncConnection, token_hash: str) -> RowMapping | None:
    """The same, by what stands in the link."""
    query = _described().where(invitations.c.token_hash == token_hash)
    return (await connection.execute(query)).mappings().first()


async def list_invitations(
    connection: AsyncConnection, before: tuple[datetime, str] | None, limit: int
) -> list[RowMapping]:
    """A page of invitations, newest first."""
    query = _described().order_by(invitations.c.created_at.desc(), invitations.c.id.desc()).limit(limit)
    if before is not None:
        at, last = before
        older = (invitations.c.created_at == at) & (invitations.c.id < last)
        query = query.where((invitations.c.created_at < at) | older)
    return list((await connection.execute(query)).mappings())


async def update_invitation(connection: AsyncConnection, invitation_id: str, **values: Any) -> None:
    """Change an invitation."""
    await connection.execute(update(invitations).where(invitations.c.id == invitation_id).values(**values))


async def delete_invitation(connection: AsyncConnection, invitation_id: str) -> bool:
    """Use an invitation up, or withdraw it; False if somebody did before."""
    return bool((await connection.execute(delete(invitations).where(invitations.c.id == invitation_id))).rowcount)
