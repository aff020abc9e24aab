"""All SQL of scans."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.server.accounts.tables import people
from studiolo.server.packages.tables import package_deliveries
from studiolo.server.scans.tables import scan_baseline, scans

_by = people.alias("by")
_ABOUT = (scans.c.id, scans.c.at, scans.c.cause, scans.c.worst, scans.c.workspace_id)
_WHO = (_by.c.id.label("by_id"), _by.c.name.label("by_name"), _by.c.display_name.label("by_display_name"))


async def insert_scan(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Add a scan."""
    await connection.execute(insert(scans).values(**values))


async def keep_newest(connection: AsyncConnection, workspace_id: str, most: int) -> None:
    """Delete the oldest scans of a workspace beyond `most`."""
    newest = (
        select(scans.c.id)
        .where(scans.c.workspace_id == workspace_id)
        .order_by(scans.c.at.desc(), scans.c.id.desc())
        .limit(most)
    )
    kept = [row.id for row in await connection.execute(newest)]
    await connection.execute(delete(scans).where(scans.c.workspace_id == workspace_id, scans.c.id.not_in(kept)))


async def list_scans(
    connection: AsyncConnection, workspace_id: str, *, before: tuple[datetime, str] | None, limit: int
) -> list[RowMapping]:
    """Scans of a workspace without their reports, newest first."""
    query = (
        select(*_ABOUT, *_WHO)
        .join(_by, _by.c.id == scans.c.made_by, isouter=True)
        .where(scans.c.workspace_id == workspace_id)
        .order_by(scans.c.at.desc(), scans.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(tuple_(scans.c.at, scans.c.id) < tuple_(*before))
    return list((await connection.execute(query)).mappings())


async def find_scan(connection: AsyncConnection, workspace_id: str, scan_id: str | None) -> RowMapping | None:
    """A scan of a workspace with its report; None as id: the newest."""
    query = (
        select(scans, *_WHO)
        .join(_by, _by.c.id == scans.c.made_by, isouter=True)
        .where(scans.c.workspace_id == workspace_id)
        .order_by(scans.c.at.desc(), scans.c.id.desc())
        .limit(1)
    )
    if scan_id is not None:
        query = query.where(scans.c.id == scan_id)
    return (await connection.execute(query)).mappings().first()


async def list_accepted(connection: AsyncConnection, workspace_id: str) -> list[RowMapping]:
    """Findings that were accepted in a workspace, by id, with who did."""
    query = (
        select(scan_baseline, _by.c.name.label("by_name"))
        .join(_by, _by.c.id == scan_baseline.c.made_by, isouter=True)
        .where(scan_baseline.c.workspace_id == workspace_id)
        .order_by(scan_baseline.c.finding_id)
    )
    return list((await connection.execute(query)).mappings())


async def set_accepted(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Accept a finding, in place of an earlier acceptance."""
    await delete_accepted(connection, values["workspace_id"], values["finding_id"])
    await connection.execute(insert(scan_baseline).values(**values))


async def delete_accepted(connection: AsyncConnection, workspace_id: str, finding_id: str) -> bool:
    """Accept a finding no longer; tell whether it was."""
    query = delete(scan_baseline).where(
        scan_baseline.c.workspace_id == workspace_id, scan_baseline.c.finding_id == finding_id
    )
    return bool((await connection.execute(query)).rowcount)


async def list_deliveries(connection: AsyncConnection, workspace_id: str) -> list[RowMapping]:
    """What the index delivered to a workspace, each file once. Never another workspace's: that proves nothing here."""
    table = package_deliveries
    query = (
        select(
            table.c.ecosystem,
            table.c.name,
            table.c.version,
            table.c.file,
            table.c.channel,
            table.c.sha256,
            table.c.fingerprint,
        )
        .where(table.c.workspace_id == workspace_id)
        .distinct()
    )
    return list((await connection.execute(query)).mappings())
