"""All SQL of people, logins, keys and sign-in links."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import device_codes, keys, logins, people, sign_in_links


async def find_person(connection: AsyncConnection, who: str) -> RowMapping | None:
    """Find a person by id, name or e-mail (case-insensitive), suspended ones too."""
    wanted = who.strip().lower()
    query = select(people).where(or_(people.c.id == who, people.c.name == wanted, people.c.email == wanted))
    query = query.where(people.c.erased_at.is_(None))
    return (await connection.execute(query)).mappings().first()


async def find_by_id(connection: AsyncConnection, person_id: str) -> RowMapping | None:
    """Find a person by id alone, suspended and erased ones too."""
    return (await connection.execute(select(people).where(people.c.id == person_id))).mappings().first()


async def list_names(connection: AsyncConnection, limit: int = 1000) -> list[str]:
    """Names of people, for suggestions."""
    return list((await connection.execute(select(people.c.name).limit(limit))).scalars())


async def count_people(connection: AsyncConnection) -> int:
    """Number of people."""
    return int((await connection.execute(select(func.count()).select_from(people))).scalar_one())


async def first_admin(connection: AsyncConnection) -> RowMapping | None:
    """The administrator who was made first."""
    query = select(people).where(people.c.is_admin, people.c.disabled_at.is_(None))
    return (await connection.execute(query.order_by(people.c.created_at).limit(1))).mappings().first()


async def list_administrators(connection: AsyncConnection) -> list[RowMapping]:
    """Administrators who are let in, by name."""
    query = select(people).where(people.c.is_admin, people.c.disabled_at.is_(None)).order_by(people.c.display_name)
    return list((await connection.execute(query)).mappings())


async def list_admins(connection: AsyncConnection) -> set[str]:
    """Ids of administrators who are let in, held until the transaction ends: one of them must remain."""
    query = select(people.c.id).where(people.c.is_admin, people.c.disabled_at.is_(None)).with_for_update()
    return set((await connection.execute(query)).scalars())


async def list_credentials(connection: AsyncConnection, person_id: str) -> set[str]:
    """Ids of all logins and keys of a person."""
    found: set[str] = set()
    for table in (logins, keys):
        found |= set((await connection.execute(select(table.c.id).where(table.c.person_id == person_id))).scalars())
    return found


async def delete_credentials(connection: AsyncConnection, person_id: str) -> None:
    """Delete all by which a person could come in, but for the password."""
    for table in (logins, keys, sign_in_links, device_codes):
        await connection.execute(delete(table).where(table.c.person_id == person_id))


async def insert_person(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add a person."""
    await connection.execute(insert(people).values(**values))


async def update_person(connection: AsyncConnection, person_id: str, **values: Any) -> None:
    """Change a person."""
    await connection.execute(update(people).where(people.c.id == person_id).values(**values))


async def find_login(connection: AsyncConnection, token_hash: str) -> RowMapping | None:
    """A login with its person, by token."""
    query = select(logins, people.c.name, people.c.display_name, people.c.is_admin, people.c.disabled_at)
    query = query.join(people, people.c.id == logins.c.person_id).where(logins.c.token_hash == token_hash)
    return (await connection.execute(query)).mappings().first()


async def find_login_by_id(connection: AsyncConnection, login_id: str) -> RowMapping | None:
    """A login with its person, by id."""
    query = select(logins, people.c.name, people.c.display_name, people.c.is_admin, people.c.disabled_at)
    query = query.join(people, people.c.id == logins.c.person_id).where(logins.c.id == login_id)
    return (await connection.execute(query)).mappings().first()


async def insert_login(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add a login."""
    await connection.execute(insert(logins).values(**values))


async def touch(connection: AsyncConnection, seen_logins: dict[str, datetime], seen_keys: dict[str, datetime]) -> None:
    """Write when logins and keys were last used."""
    for login_id, at in seen_logins.items():
        await connection.execute(update(logins).where(logins.c.id == login_id).values(last_seen_at=at))
        of = select(logins.c.person_id).where(logins.c.id == login_id).scalar_subquery()
        await connection.execute(update(people).where(people.c.id == of).values(last_seen_at=at))
    for key_id, at in seen_keys.items():
        await connection.execute(update(keys).where(keys.c.id == key_id).values(last_used_at=at))
        # A session's own key speaks for a program: its reports come without anybody being there.
        of = (
            select(keys.c.person_id)
            .where(keys.c.id == key_id, keys.c.session_id.is_(None), keys.c.kernel_id.is_(None))
            .scalar_subquery()
        )
        await connection.execute(update(people).where(people.c.id == of).values(last_seen_at=at))


async def list_logins(connection: AsyncConnection, person_id: str) -> list[RowMapping]:
    """A person's logins, last used first."""
    query = select(logins).where(logins.c.person_id == person_id).order_by(logins.c.last_seen_at.desc())
    return list((await connection.execute(query)).mappings())


async def delete_logins(connection: AsyncConnection, *, person_id: str, login_id: str | None = None) -> set[str]:
    """End one or all logins of a person; return their ids."""
    which = logins.c.person_id == person_id
    if login_id is not None:
        which = which & (logins.c.id == login_id)
    ended = set((await connection.execute(select(logins.c.id).where(which))).scalars())
    await connection.execute(delete(logins).where(which))
    return ended


async def find_key(connection: AsyncConnection, token_hash: str) -> RowMapping | None:
    """A key with its person, by token."""
    return await _find_key(connection, keys.c.token_hash == token_hash)


async def find_key_by_id(connection: AsyncConnection, key_id: str) -> RowMapping | None:
    """A key with its person, by id."""
    return await _find_key(connection, keys.c.id == key_id)


async def _find_key(connection: AsyncConnection, which: ColumnElement[bool]) -> RowMapping | None:
    query = select(keys, people.c.name.label("person_name"), people.c.display_name, people.c.is_admin)
    query = query.add_columns(people.c.disabled_at)
    query = query.join(people, people.c.id == keys.c.person_id).where(which)
    return (await connection.execute(query)).mappings().first()


async def list_keys(connection: AsyncConnection, person_id: str) -> list[RowMapping]:
    """A person's own keys (not those of sessions and kernels), newest first."""
    query = select(keys).where(keys.c.person_id == person_id, keys.c.session_id.is_(None), keys.c.kernel_id.is_(None))
    return list((await connection.execute(query.order_by(keys.c.created_at.desc()))).mappings())


async def insert_key(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add a key."""
    await connection.execute(insert(keys).values(**values))


async def delete_key(connection: AsyncConnection, *, person_id: str, key_id: str) -> bool:
    """Revoke a key; False if the person has no such key."""
    result = await connection.execute(delete(keys).where(keys.c.id == key_id, keys.c.person_id == person_id))
    return bool(result.rowcount)


async def delete_session_keys(connection: AsyncConnection, session_id: str) -> None:
    """Revoke the keys of a session."""
    await connection.execute(delete(keys).where(keys.c.session_id == session_id))


async def delete_kernel_keys(connection: AsyncConnection, kernel_ids: Iterable[str]) -> None:
    """Revoke the keys of kernels."""
    await connection.execute(delete(keys).where(keys.c.kernel_id.in_(list(kernel_ids))))


async def insert_link(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add a sign-in link."""
    await connection.execute(insert(sign_in_links).values(**values))


async def take_link(connection: AsyncConnection, token_hash: str) -> RowMapping | None:
    """Use a link up; None if there is none (any more)."""
    row = (
        (await connection.execute(select(sign_in_links).where(sign_in_links.c.token_hash == token_hash)))
        .mappings()
        .first()
    )
    taken = await connection.execute(delete(sign_in_links).where(sign_in_links.c.token_hash == token_hash))
    return row if taken.rowcount else None


async def find_link(connection: AsyncConnection, token_hash: str) -> RowMapping | None:
    """Look at a link without using it."""
    query = select(sign_in_links, people.c.name).join(people, people.c.id == sign_in_links.c.person_id)
    return (await connection.execute(query.where(sign_in_links.c.token_hash == token_hash))).mappings().first()


async def delete_links(connection: AsyncConnection, person_id: str) -> None:
    """Drop a person's unused links."""
    await connection.execute(delete(sign_in_links).where(sign_in_links.c.person_id == person_id))


async def list_ended_credentials(
    connection: AsyncConnection, since: datetime, until: datetime, *, among: Select[tuple[str]] | None = None
) -> dict[str, set[str]]:
    """Ids of logins and keys that expired, or whose person was disabled, in a time, by person.

    `among`: a query for the ids of the people who count; None: everybody.
    """
    ended: dict[str, set[str]] = {}
    for table in (logins, keys):
        query = select(table.c.person_id, table.c.id).join(people, people.c.id == table.c.person_id)
        query = query.where(or_(table.c.expires_at.between(since, until), people.c.disabled_at.between(since, until)))
        if among is not None:
            query = query.where(table.c.person_id.in_(among))
        for person_id, credential in await connection.execute(query):
            ended.setdefault(person_id, set()).add(credential)
    return ended
