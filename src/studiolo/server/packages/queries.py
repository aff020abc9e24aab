"""SQL of policies and grants."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import people
from studiolo.server.packages.tables import effective_policies, package_grants, policy_revisions
from studiolo.server.workspaces.tables import workspaces

PLATFORM = "platform"


async def find_revision(
    connection: AsyncConnection, scope: str, number: int | None = None, *, of_administrators: bool = False
) -> RowMapping | None:
    """Find a revision, None for the latest, or the latest that an administrator set; with its maker's names."""
    query = _revisions(scope).limit(1)
    if of_administrators:
        query = query.where(policy_revisions.c.by_administrator)
    if number is not None:
        query = query.where(policy_revisions.c.number == number)
    found: RowMapping | None = (await connection.execute(query)).mappings().first()
    return found


async def list_revisions(
    connection: AsyncConnection, scope: str, *, before: int | None, limit: int
) -> list[RowMapping]:
    """List revisions, the latest first."""
    query = _revisions(scope).limit(limit)
    if before is not None:
        query = query.where(policy_revisions.c.number < before)
    return list((await connection.execute(query)).mappings())


async def list_holding(connection: AsyncConnection, scope: str) -> list[RowMapping]:
    """List the revisions of a workspace that hold, in their order: an administrator's latest, and the latest."""
    found = [await find_revision(connection, scope, of_administrators=True), await find_revision(connection, scope)]
    kept = {row["number"]: row for row in found if row is not None}
    return [kept[number] for number in sorted(kept)]


async def insert_revision(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add a revision."""
    await connection.execute(insert(policy_revisions).values(**values))


async def find_effective(connection: AsyncConnection, workspace_id: str) -> RowMapping | None:
    """Find a workspace's latest effective policy."""
    query = select(effective_policies).where(effective_policies.c.workspace_id == workspace_id)
    query = query.order_by(effective_policies.c.number.desc()).limit(1)
    return (await connection.execute(query)).mappings().first()


async def find_by_hash(connection: AsyncConnection, hash_: str) -> RowMapping | None:
    """Find an effective policy by its hash, whosesoever it is."""
    query = select(effective_policies).where(effective_policies.c.hash == hash_).limit(1)
    return (await connection.execute(query)).mappings().first()


async def blank_effective(connection: AsyncConnection, text: str) -> None:
    """Empty the documents of effective policies that hold a text; numbers and hashes stay."""
    table = effective_policies
    holds = table.c.document.contains(text, autoescape=True)
    await connection.execute(update(table).where(holds).values(document=""))


async def find_ground(connection: AsyncConnection, workspace_id: str) -> RowMapping | None:
    """Find a workspace's configuration and folder."""
    query = select(workspaces.c.config, workspaces.c.root).where(workspaces.c.id == workspace_id)
    return (await connection.execute(query)).mappings().first()


async def insert_effective(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add an effective policy."""
    await connection.execute(insert(effective_policies).values(**values))


async def list_workspaces(connection: AsyncConnection, *, limit: int) -> list[RowMapping]:
    """List live workspaces, the latest changed first."""
    query = select(workspaces.c.id, workspaces.c.name).where(workspaces.c.deleted_at.is_(None))
    query = query.order_by(workspaces.c.modified_at.desc()).limit(limit)
    return list((await connection.execute(query)).mappings())


async def list_grants(connection: AsyncConnection, workspace_id: str | None, *, now: datetime) -> list[RowMapping]:
    """List what is granted now in a workspace, oldest first, everywhere's included; None: everywhere's alone."""
    everywhere = package_grants.c.workspace_id.is_(None)
    query = _grants().where(
        or_(everywhere, package_grants.c.workspace_id == workspace_id) if workspace_id else everywhere,
        package_grants.c.revoked_at.is_(None),
        or_(package_grants.c.until.is_(None), package_grants.c.until > now),
    )
    query = query.order_by(package_grants.c.made_at, package_grants.c.id)
    return list((await connection.execute(query)).mappings())


async def find_grant(connection: AsyncConnection, grant_id: str) -> RowMapping | None:
    """Find a grant, revoked or not."""
    query = _grants().where(package_grants.c.id == grant_id)
    found: RowMapping | None = (await connection.execute(query)).mappings().first()
    return found


async def insert_grant(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add a grant."""
    await connection.execute(insert(package_grants).values(**values))


async def revoke_grant(connection: AsyncConnection, grant_id: str, at: datetime) -> None:
    """End a grant."""
    await connection.execute(update(package_grants).where(package_grants.c.id == grant_id).values(revoked_at=at))


def _revisions(scope: str) -> Select[Any]:
    query = select(policy_revisions, people.c.name.label("maker"), people.c.display_name.label("maker_display"))
    query = query.outerjoin(people, people.c.id == policy_revisions.c.made_by)
    return query.where(policy_revisions.c.scope == scope).order_by(policy_revisions.c.number.desc())


def _grants() -> Select[Any]:
    query = select(package_grants, people.c.name.label("maker"), people.c.display_name.label("maker_display"))
    return query.outerjoin(people, people.c.id == package_grants.c.made_by)
