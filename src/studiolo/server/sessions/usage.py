"""What sessions use: a sample a minute of all that run, an hour of them kept, and a look on demand."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import RowMapping

from studiolo.contract.errors import Unavailable
from studiolo.contract.models import Session, SessionState
from studiolo.contract.resources import MemoryDeath, SessionUsage, UsageSample
from studiolo.engines.base import Measures, Usage
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.repeat import repeat
from studiolo.server.engines.calls import MEASURE_SECONDS, within
from studiolo.server.engines.engines import Engines
from studiolo.server.engines.words import enforcement_of
from studiolo.server.live import Live
from studiolo.server.principal import Principal
from studiolo.server.sessions import history, usage_queries
from studiolo.server.sessions.lookup import SessionLookup
from studiolo.server.sessions.memory_deaths import MemoryDeaths
from studiolo.server.sessions.wire import engine_of, limits_of

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 60.0


class Sampler:
    """Measures all running sessions in one pass and writes the pass in one transaction."""

    def __init__(self, db: Database, clock: Clock, engines: Engines, live: Live, deaths: MemoryDeaths) -> None:
        self._db = db
        self._clock = clock
        self._engines = engines
        self._live = live
        self._deaths = deaths
        self._sampled_at: datetime | None = None
        self._thinned_at: datetime | None = None

    async def sample_forever(self) -> None:
        """Sample once a minute; a pass that fails costs a minute of history, nothing else."""
        await repeat(self.sample, every_seconds=_EVERY_SECONDS, failed="not-sampled")

    async def sample(self) -> int:
        """Take one sample of each running session; returns how many could be measured."""
        async with self._db.read() as connection:
            rows = await usage_queries.list_measurable(connection)
        silent: set[str] = set()
        measured = [(row, usage) for row in rows if (usage := await self._measure(row, silent)) is not None]
        now = self._clock.now()
        async with self._db.write() as tx:
            samples = [_sample(row, usage, now) for row, usage in measured]
            await usage_queries.add_samples(tx.connection, samples, now)
            of_workspaces = zip((row["workspace_id"] for row, _ in measured), samples, strict=True)
            passed = now - self._sampled_at if self._sampled_at else timedelta(seconds=_EVERY_SECONDS)
            used = history.sum_up(((name, one["cpu"], one["memory"]) for name, one in of_workspaces), passed)
            await history.add(tx.connection, used, now)
            if self._thinned_at is None or now - self._thinned_at >= history.HOUR:
                await history.thin(tx.connection, now)
                self._thinned_at = now
            self._sampled_at = now
            if measured:
                tx.after_commit(lambda: self._live.tell_everybody("usage"))
        for row, usage in measured:
            if usage.deaths:
                await self._deaths.note(row, row["workspace_name"], usage.deaths)
        return len(measured)

    async def _measure(self, row: RowMapping, silent: set[str]) -> Usage | None:
        """Measure one; an engine that does not answer joins the `silent`, which are asked no more in this pass."""
        # An engine may look without ever waiting: others get their turn between two sessions.
        await asyncio.sleep(0)
        name = engine_of(row)
        engine = self._engines.of(name)
        if name in silent or not isinstance(engine, Measures):
            return None
        try:
            return await within(MEASURE_SECONDS, name, engine.measure(row["handle"]))
        except Unavailable:
            silent.add(name)
            return None
        except Exception:
            _log.exception("not-measured", session=row["id"])
            return None


class SessionUsages:
    """What people see of a session's use."""

    def __init__(self, db: Database, clock: Clock, engines: Engines, lookup: SessionLookup) -> None:
        self._db = db
        self._clock = clock
        self._engines = engines
        self._lookup = lookup

    async def get(self, who: Principal, reference: str) -> SessionUsage:
        """Measure now, without writing anything, and return it with limits and the last hour."""
        async with self._db.read() as connection:
            row = await self._lookup.resolve(connection, who, reference, "session.usage")
            since = self._clock.now() - usage_queries.KEPT
            samples = await usage_queries.list_samples(connection, row["id"], since)
        usage = await self._measure(row)
        entry = usage_entry(usage, row["usage"]) if usage else None
        peak = (entry or row["usage"] or {}).get("memory_peak")
        return SessionUsage(
            now=UsageSample.model_validate(entry) if entry else None,
            limits=limits_of(row),
            enforcement=enforcement_of(await self._engines.machine(engine_of(row))),
            memory_peak=peak,
            history=[UsageSample.model_validate(dict(sample)) for sample in samples],
            deaths=[MemoryDeath.model_validate(death) for death in row["deaths"] or []],
        )

    async def _measure(self, row: RowMapping) -> Usage | None:
        engine = self._engines.of(engine_of(row))
        is_measurable = row["state"] == SessionState.RUNNING and row["handle_launch"] == row["launch"]
        if not is_measurable or not isinstance(engine, Measures):
            return None
        try:
            return await within(MEASURE_SECONDS, engine.name, engine.measure(row["handle"]))
        except Unavailable:
            return None

    async def memory_of(
        self, who: Principal, sessions: Sequence[Session]
    ) -> dict[str, list[tuple[datetime, int | None]]]:
        """Return the last hour's memory of sessions that `who` was given by `Sessions`: by id, oldest first."""
        who.require("session.usage")
        since = self._clock.now() - usage_queries.KEPT
        async with self._db.read() as connection:
            rows = await usage_queries.list_memory(connection, [session.id for session in sessions], since)
        by_id: dict[str, list[tuple[datetime, int | None]]] = {}
        for session_id, at, memory in rows:
            by_id.setdefault(session_id, []).append((at, memory))
        return by_id


def usage_entry(usage: Usage, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a row keeps: a UsageSample with the sums from which the next average is made.

    {at, cpu (processors since `before`), cpu_seconds, memory, memory_peak, processes}, JSON values.
    """
    before = before or {}
    peaks = [peak for peak in (usage.memory_peak, usage.memory, before.get("memory_peak")) if peak is not None]
    return {
        "at": usage.at.isoformat(),
        "cpu": _average(usage, before),
        "cpu_seconds": usage.cpu_seconds,
        "memory": usage.memory,
        "memory_peak": max(peaks, default=None),
        "processes": usage.processes,
    }


def _average(usage: Usage, before: Mapping[str, Any]) -> float | None:
    """Processors used on average since the sample before; None without one, or when the clock was put back."""
    if usage.cpu_seconds is None or before.get("cpu_seconds") is None:
        return None
    passed = usage.at - datetime.fromisoformat(before["at"])
    used = usage.cpu_seconds - before["cpu_seconds"]
    return round(used / passed.total_seconds(), 4) if passed > timedelta(0) and used >= 0 else None


def _sample(row: RowMapping, usage: Usage, now: datetime) -> dict[str, Any]:
    entry = usage_entry(usage, row["usage"])
    kept = {name: entry[name] for name in ("cpu", "memory", "processes")}
    return {"session_id": row["id"], "launch": row["launch"], "at": now, "usage": entry, **kept}
