"""What a monitoring system reads of the platform: Prometheus' text format, at /metrics.

Names follow Prometheus' own rules (https://prometheus.io/docs/practices/naming/): base units, `_total` for what only
grows. No label names a person, a workspace or a session: who may read metrics may not see those.
"""

import asyncio

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from sqlalchemy import ColumnElement, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo import __version__
from studiolo.contract.resources import Capacity
from studiolo.kit.db import Database
from studiolo.server.census import take_census
from studiolo.server.disk.watch import space_of
from studiolo.server.engines.engines import Engines
from studiolo.server.kernels.tables import kernels
from studiolo.server.principal import Principal
from studiolo.server.sessions.service import Sessions
from studiolo.server.sessions.tables import sessions
from studiolo.server.settings import Settings

# Seconds. A session from the pool is ready within a tenth, one that waits for its environment within minutes.
_START_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)
_REQUEST_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


class Meters:
    """What is counted while the control plane works; a registry for each, so that several may live in a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = Histogram(
            "studiolo_http_request_duration_seconds",
            "Time to answer requests to API and pages, by the function that answered.",
            ("method", "handler", "status"),
            registry=self.registry,
            buckets=_REQUEST_BUCKETS,
        )
        self.questions = Counter(
            "studiolo_front_door_questions_total",
            "Questions of the front door: may this request pass, and where to.",
            ("answer",),
            registry=self.registry,
        )
        self.events = Counter("studiolo_audit_events_total", "Changes, by action.", ("action",), registry=self.registry)
        self.starts = Histogram(
            "studiolo_session_start_seconds",
            "From a session's launch to ready.",
            registry=self.registry,
            buckets=_START_BUCKETS,
        )


class Metrics:
    """Writes the page. What can be counted in the database is counted when it is asked for."""

    def __init__(self, settings: Settings, db: Database, engines: Engines, sessions_: Sessions, meters: Meters) -> None:
        self._settings = settings
        self._db = db
        self._engines = engines
        self._sessions = sessions_
        self.meters = meters
        self._gauges = _Gauges(meters.registry)

    async def read(self, who: Principal) -> bytes:
        """Return all metrics in Prometheus' text format 0.0.4. Raises Denied."""
        who.require("platform.metrics")
        await self._measure()
        return await asyncio.to_thread(generate_latest, self.meters.registry)

    async def _measure(self) -> None:
        gauges = self._gauges
        async with self._db.read() as connection:
            census = await take_census(connection)
            of_sessions = await _by_state(connection, sessions, sessions.c.deleted_at.is_(None))
            of_kernels = await _by_state(connection, kernels, kernels.c.state != "ended")
            claimed = {name: await self._sessions.claimed(connection, name) for name in self._engines}
        gauges.people.set(census.people)
        gauges.workspaces.set(census.workspaces)
        gauges.idle_sessions.set(census.idle_sessions)
        for gauge, counted in ((gauges.sessions, of_sessions), (gauges.kernels, of_kernels)):
            gauge.clear()
            for state, count in counted.items():
                gauge.labels(state).set(count)
        for name in self._engines:
            await self._measure_engine(name, claimed.get(name, Capacity()))
        disk = await asyncio.to_thread(space_of, self._settings.data_dir)
        gauges.disk_total.set(disk.total)
        gauges.disk_free.set(disk.free)

    async def _measure_engine(self, name: str, claimed: Capacity) -> None:
        info = await self._engines.info(name, claimed)
        capacity = info.capacity
        self._gauges.engine_up.labels(name).set(info.healthy)
        for resource, there, taken in (
            ("cpu", capacity.cpu, capacity.cpu_claimed),
            ("memory_bytes", capacity.memory, capacity.memory_claimed),
            ("gpu", capacity.gpu, capacity.gpu_claimed),
        ):
            if there is not None:
                self._gauges.capacity.labels(name, resource).set(there)
                self._gauges.claimed.labels(name, resource).set(taken)


class _Gauges:
    """What is measured when it is asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, help_: str, *labels: str) -> Gauge:
            return Gauge(f"studiolo_{name}", help_, labels, registry=registry)

        gauge("info", "The version that runs.", "version").labels(__version__).set(1)
        self.people = gauge("people", "People who have an account.")
        self.workspaces = gauge("workspaces", "Workspaces, those in the trash not counted.")
        self.sessions = gauge("sessions", "Sessions by state.", "state")
        self.idle_sessions = gauge("sessions_idle", "Sessions that run and that nobody uses.")
        self.kernels = gauge("kernels", "Kernels by state, of sessions and headless.", "state")
        self.engine_up = gauge("engine_up", "Whether an engine answers.", "engine")
        self.capacity = gauge("engine_capacity", "What an engine has.", "engine", "resource")
        self.claimed = gauge("engine_claimed", "What of it is promised to what runs.", "engine", "resource")
        self.disk_total = gauge(
            "disk_total_bytes", "Size of the data directory's file system, as far as it is ours to use."
        )
        self.disk_free = gauge("disk_free_bytes", "What is free on it.")


async def _by_state(connection: AsyncConnection, table: Table, condition: ColumnElement[bool]) -> dict[str, int]:
    found = await connection.execute(select(table.c.state, func.count()).where(condition).group_by(table.c.state))
    return {str(state): count for state, count in found}
