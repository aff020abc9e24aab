"""What workspaces used, over months: hours for a week, then days for a year; kept small whatever is running."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, bindparam, case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.resources import UsedSpan, WorkspaceHistory
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.principal import Principal
from studiolo.server.sessions.tables import usage_history
from studiolo.server.workspaces.service import Workspaces

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_HOURS_KEPT = timedelta(days=8)
_DAYS_KEPT = timedelta(days=400)
_AT_ONCE = 5000
# A sample that comes later than this stands for no longer: nobody looked in between.
_LONGEST_SAMPLE = timedelta(minutes=3)
_NOTHING: dict[str, Any] = {"session_seconds": 0.0, "cpu_seconds": 0.0, "memory_peak": 0, "disk": None}


@dataclass(frozen=True, slots=True)
class Used:
    """What the sessions of one workspace used since the sample before."""

    workspace_id: str
    session_seconds: float
    cpu_seconds: float
    memory: int


def sum_up(samples: Iterable[tuple[str, float | None, int | None]], passed: timedelta) -> list[Used]:
    """Return what each workspace used: `samples` are (workspace, processors, bytes) of each running session."""
    seconds = min(passed, _LONGEST_SAMPLE).total_seconds()
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for workspace_id, cpu, memory in samples:
        one = sums[workspace_id]
        one[0] += seconds
        one[1] += (cpu or 0.0) * seconds
        one[2] += memory or 0
    return [Used(name, running, cpu, int(memory)) for name, (running, cpu, memory) in sums.items()]


async def add(connection: AsyncConnection, used: Sequence[Used], at: datetime) -> None:
    """Add to this hour's rows, in one statement."""
    begin = at.replace(minute=0, second=0, microsecond=0)
    rows = [
        {
            "workspace_id": one.workspace_id,
            "span": int(HOUR.total_seconds()),
            "at": begin,
            "session_seconds": one.session_seconds,
            "cpu_seconds": one.cpu_seconds,
            "memory_peak": one.memory,
            "disk": None,
        }
        for one in used
    ]
    await _merge(connection, rows)


async def note_disk(connection: AsyncConnection, sizes: Mapping[str, int], at: datetime) -> None:
    """Write in this hour's rows how large workspaces are, in bytes.

    It is given those that have changed, so that rows stay few.
    """
    begin, span = at.replace(minute=0, second=0, microsecond=0), int(HOUR.total_seconds())
    rows = [{"workspace_id": name, "span": span, "at": begin, **_NOTHING, "disk": size} for name, size in sizes.items()]
    await _merge(connection, rows)


async def thin(connection: AsyncConnection, now: datetime) -> int:
    """Make days of hours that are over a week old, and forget days of over a year; return how many hours went."""
    table, hour = usage_history, int(HOUR.total_seconds())
    before = (now - _HOURS_KEPT).replace(hour=0, minute=0, second=0, microsecond=0)
    old = select(table).where(table.c.span == hour, table.c.at < before).order_by(table.c.at).limit(_AT_ONCE)
    rows = list((await connection.execute(old)).mappings())
    await _merge(connection, _days(rows))
    if rows:
        which = (table.c.workspace_id == bindparam("of")) & (table.c.span == hour) & (table.c.at == bindparam("began"))
        gone = [{"of": row["workspace_id"], "began": row["at"]} for row in rows]
        await connection.execute(delete(table).where(which), gone)
    day = int(DAY.total_seconds())
    await connection.execute(delete(table).where(table.c.span == day, table.c.at < now - _DAYS_KEPT))
    return len(rows)


class UsageHistory:
    """What people see of it."""

    def __init__(self, db: Database, clock: Clock, workspaces: Workspaces) -> None:
        self._db = db
        self._clock = clock
        self._workspaces = workspaces

    async def get(self, who: Principal, reference: str) -> WorkspaceHistory:
        """Return a workspace's hours of the last week and days of the last year, oldest first."""
        table, since = usage_history, self._clock.now() - _DAYS_KEPT
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, reference, "workspace.usage")
            query = select(table).where(table.c.workspace_id == row["id"], table.c.at >= since).order_by(table.c.at)
            rows = list((await connection.execute(query)).mappings())
        hour, disk, spans = int(HOUR.total_seconds()), None, []
        for row in rows:
            # Written where it had changed only.
            disk = disk if row["disk"] is None else row["disk"]
            spans.append(_wire(row, disk))
        return WorkspaceHistory(
            hours=[one for one in spans if one.seconds == hour], days=[one for one in spans if one.seconds != hour]
        )


def _days(rows: Iterable[RowMapping]) -> list[dict[str, Any]]:
    days: dict[tuple[str, datetime], dict[str, Any]] = {}
    for row in rows:
        begin = row["at"].replace(hour=0)
        key = {"workspace_id": row["workspace_id"], "span": int(DAY.total_seconds()), "at": begin}
        day = days.setdefault((row["workspace_id"], begin), key | _NOTHING)
        day["session_seconds"] += row["session_seconds"]
        day["cpu_seconds"] += row["cpu_seconds"]
        day["memory_peak"] = max(day["memory_peak"], row["memory_peak"])
        # Rows come in the order of their hours: a day is as large as it ends.
        day["disk"] = day["disk"] if row["disk"] is None else row["disk"]
    return list(days.values())


async def _merge(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    """Insert rows, or add them to those that are there."""
    if not rows:
        return
    table = usage_history
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    new = insert(table)
    query = new.on_conflict_do_update(
        index_elements=[table.c.workspace_id, table.c.span, table.c.at],
        set_={
            "session_seconds": table.c.session_seconds + new.excluded.session_seconds,
            "cpu_seconds": table.c.cpu_seconds + new.excluded.cpu_seconds,
            "memory_peak": case(
                (new.excluded.memory_peak > table.c.memory_peak, new.excluded.memory_peak),
                else_=table.c.memory_peak,
            ),
            "disk": func.coalesce(new.excluded.disk, table.c.disk),
        },
    )
    await connection.execute(query, rows)


def _wire(row: RowMapping, disk: int | None) -> UsedSpan:
    return UsedSpan(
        at=row["at"],
        seconds=row["span"],
        session_hours=round(row["session_seconds"] / 3600, 3),
        cpu_hours=round(row["cpu_seconds"] / 3600, 4),
        memory_peak=row["memory_peak"],
        disk=disk,
    )
