"""Makes sessions so: looks at what is wanted and what is, does one step, writes down what was seen."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from sqlalchemy import RowMapping

from studiolo.contract.durations import describe_seconds
from studiolo.contract.errors import StudioloError, Unavailable
from studiolo.contract.models import EnvironmentState, Reason, SessionState
from studiolo.engines.base import Engine, Exit, Forgets, Logs, Measures, Observation, Phase, Sweeps, Usage
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.reconcile import Runner
from studiolo.server.engines.calls import (
    LOG_SECONDS,
    MEASURE_SECONDS,
    START_SECONDS,
    STOP_SECONDS,
    SWEEP_SECONDS,
    observe,
    within,
)
from studiolo.server.engines.engines import Engines
from studiolo.server.sessions import queries
from studiolo.server.sessions.launch_spec import LaunchSpecs
from studiolo.server.sessions.lifecycle import Next, Outcome, Wanted, decide_next, decide_outcome
from studiolo.server.sessions.memory_deaths import MemoryDeaths
from studiolo.server.sessions.observations import Observations
from studiolo.server.sessions.progress import changes_of, is_over
from studiolo.server.sessions.usage import usage_entry
from studiolo.server.sessions.watching import Watching
from studiolo.server.sessions.wire import end_reason, engine_of, limits_of
from studiolo.server.settings.sessions import SessionSettings

_log = structlog.get_logger(__name__)
_LOG_TAIL = 10
_SWEEP_SECONDS = 30.0


class SessionReconciler:
    """Runs the steps. What is written goes through `observations`, which holds the lease."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        engines: Engines,
        observations: Observations,
        deaths: MemoryDeaths,
        specs: LaunchSpecs,
        settings: SessionSettings,
    ) -> None:
        self._db = db
        self._clock = clock
        self._engines = engines
        self._seen = observations
        self._deaths = deaths
        self._specs = specs
        self._settings = settings
        self._waiting: dict[str, set[str]] = defaultdict(set)
        # Of these the engine told that something happened.
        self._news: set[str] = set()
        self._watching = Watching(self._on_news)
        # Where each is or should be: an engine that hangs holds up the steps of its own sessions alone.
        self._lanes: dict[str, str] = {}
        self.on_environment_missing: Callable[[str], Awaitable[None]] | None = None
        self.on_environment_wanted: Callable[[str], None] = lambda workspace_id: None
        # Told the seconds from a launch's request to its server's being ready.
        self.on_ready: Callable[[float], None] = lambda seconds: None
        self.runner = Runner(
            "sessions", step=self._step, due=self._due, lane=lambda session_id: self._lanes.get(session_id, "")
        )

    @property
    def owner(self) -> str:
        """Who holds the leases of what this process writes."""
        return self._seen.owner

    def adopt(self, session_id: str) -> None:
        """Called when a session was inserted with our lease, so that its first step need not claim it."""
        self._seen.adopt(session_id)

    def expect(self, session_id: str, engine: str) -> None:
        """Called when a session that is nowhere is wanted on an engine: its steps wait for no other's."""
        self._lanes[session_id] = engine

    def look_at_workspace(self, workspace_id: str) -> None:
        """Called when a workspace's environment became ready or failed: look at the sessions that wait for it."""
        for session_id in self._waiting.pop(workspace_id, set()):
            self.runner.hint(session_id)

    async def sweep_forever(self) -> None:
        """Now and then end what engines run and nobody wants (promise R4: no orphans)."""
        while True:
            sweeping = [self._sweep(name, one) for name, one in self._engines.items() if isinstance(one, Sweeps)]
            await asyncio.gather(*sweeping)
            await asyncio.sleep(_SWEEP_SECONDS)

    async def close(self) -> None:
        """Stop watching; the sessions run on."""
        await self._watching.close()
        await self._engines.aclose()

    async def _sweep(self, name: str, engine: Sweeps) -> None:
        try:
            for workload in await within(SWEEP_SECONDS, name, engine.sweep(self._list_wanted)):
                _log.warning("orphan-ended", workload=workload)
        except Unavailable as exc:
            _log.warning("sweep-failed", engine=name, message=exc.message)
        except Exception:
            _log.exception("sweep-failed")

    async def _list_wanted(self) -> set[tuple[str, int]]:
        async with self._db.read() as connection:
            return await queries.list_wanted(connection)

    async def _due(self) -> list[str]:
        async with self._db.read() as connection:
            due = await queries.list_due(connection)
        self._lanes.update(due)
        return list(due)

    def _on_news(self, session_id: str) -> None:
        self._news.add(session_id)
        self.runner.hint(session_id)

    async def _step(self, session_id: str) -> timedelta | None:
        async with self._db.read() as connection:
            row = await queries.find(connection, session_id)
        if row is None:
            return None
        engine = self._engines.of(engine_of(row))
        if row["deleted_at"] is not None and row["handle_launch"] is None:
            self._lanes.pop(session_id, None)
            if isinstance(engine, Forgets):
                await within(STOP_SECONDS, engine.name, engine.forget(session_id))
            return None
        wanted = _wanted(row)
        match decide_next(wanted):
            case Next.NOTHING:
                return None
            case Next.START:
                return await self._start(row, self._engines.of(row["engine"]))
            case Next.SETTLE:
                await self._write_end(row, SessionState.STOPPED, None, [])
                return None
            case Next.OBSERVE:
                seen = await _observe(row, engine)
                if seen.phase is Phase.READY and session_id in self._news:
                    await self._look_at_deaths(row, engine)
                return await self._settle(row, wanted, seen)
            case Next.STOP:
                return await self._stop(row, wanted, engine)

    async def _start(self, row: RowMapping, engine: Engine) -> timedelta | None:
        if row["environment_state"] != EnvironmentState.READY:
            return await self._await_environment(row)
        if self.on_environment_missing and not self._specs.environment(row).is_dir():
            await self.on_environment_missing(row["workspace_id"])
            return timedelta(0)
        try:
            machine = await self._engines.machine(row["engine"])
            spec = await self._specs.spec(row, engine, machine)
            handle = await within(START_SECONDS, engine.name, engine.start(spec))
        except StudioloError as exc:
            is_young = self._clock.now() - row["requested_at"] < self._settings.start_timeout
            if is_young and isinstance(exc, Unavailable):
                raise
            await self._fail(row, exc.code, f"{exc.message} {exc.hint or ''}".strip())
            return None
        now = self._clock.now()
        # The object is there, whatever is wanted by now: with its handle stored it ends before a newer launch begins.
        written = await self._seen.write(
            row,
            of_any_launch=True,
            state=SessionState.STARTING,
            handle=handle,
            handle_launch=row["launch"],
            handle_engine=row["engine"],
            started_at=now,
        )
        self._lanes[row["id"]] = row["engine"]
        if written:
            self._watching.watch(engine, row["id"], row["launch"], handle)
        # Look at once: it may be ready already, or a newer wish may have come, which ends this object.
        return timedelta(0)

    async def _await_environment(self, row: RowMapping) -> timedelta | None:
        # Also after a failure: what stood in its way may be gone by the next launch.
        self.on_environment_wanted(row["workspace_id"])
        if row["environment_message"] is None:
            self._waiting[row["workspace_id"]].add(row["id"])
            # It may have become ready between the look and this line: look once more, unhurried.
            return timedelta(seconds=2)
        message = f"The workspace's environment could not be made. {row['environment_message']}"
        await self._fail(row, "environment-not-ready", message)
        return None

    async def _stop(self, row: RowMapping, wanted: Wanted, engine: Engine) -> timedelta | None:
        seen = await _observe(row, engine)
        if seen.phase is not Phase.ENDED:
            if row["state"] == SessionState.RUNNING and (usage := await _measure(row, engine)) is not None:
                # The last chance to know what this launch used in all.
                await self._seen.write(row, state=SessionState.STOPPING, usage=usage_entry(usage, row["usage"]))
            stopping = engine.stop(row["handle"], grace=self._settings.stop_grace)
            await within(STOP_SECONDS, engine.name, stopping)
        return await self._settle(row, wanted, seen)

    async def _settle(self, row: RowMapping, wanted: Wanted, seen: Observation) -> timedelta | None:
        now = self._clock.now()
        outcome = decide_outcome(wanted, seen, now, self._settings.start_timeout)
        if outcome.gives_up:
            stop_reason = {"code": "start-timeout", "by": f"{self._settings.start_timeout.total_seconds():.0f} s"}
            await self._seen.write(row, state=outcome.state, desired="stopped", stop_reason=stop_reason)
            return outcome.look_again
        if outcome.state is SessionState.RUNNING and is_over(row, seen, now):
            stop_reason = {"code": "time-limit", "by": describe_seconds(limits_of(row).time_limit or 0)}
            await self._seen.write(row, state=SessionState.STOPPING, desired="stopped", stop_reason=stop_reason)
            return timedelta(0)
        if seen.phase in (Phase.PENDING, Phase.STARTING, Phase.READY) and row["handle_launch"] is not None:
            self._watching.watch(self._engines.of(engine_of(row)), row["id"], row["handle_launch"], row["handle"])
        changes = changes_of(row, seen, now)
        if outcome.ended:
            await self._end(row, outcome, seen.exit)
        elif outcome.forget_handle:
            await self._seen.write(row, state=outcome.state, handle=None, handle_launch=None, upstream=None)
        elif outcome.state is SessionState.RUNNING:
            if row["state"] != SessionState.RUNNING or row["upstream"] != seen.upstream:
                ready_at = row["ready_at"] or now
                await self._seen.write(row, state=outcome.state, upstream=seen.upstream, ready_at=ready_at, **changes)
                if row["ready_at"] is None:
                    self.on_ready((ready_at - row["requested_at"]).total_seconds())
            elif changes:
                await self._seen.write(row, state=outcome.state, **changes)
        elif outcome.state != row["state"] or changes:
            await self._seen.write(row, state=outcome.state, **changes)
        return outcome.look_again

    async def _look_at_deaths(self, row: RowMapping, engine: Engine) -> None:
        self._news.discard(row["id"])
        usage = await _measure(row, engine)
        if usage is not None and usage.deaths:
            await self._deaths.note(row, row["workspace_name"], usage.deaths)

    async def _end(self, row: RowMapping, outcome: Outcome, exit_: Exit | None) -> None:
        self._news.discard(row["id"])
        engine, tail = self._engines.of(engine_of(row)), list[str]()
        if outcome.state is SessionState.FAILED and isinstance(engine, Logs):
            # An end is told without the log rather than not at all.
            with contextlib.suppress(Unavailable):
                tail = await within(LOG_SECONDS, engine.name, engine.tail(row["handle"], lines=_LOG_TAIL))
        await self._write_end(row, outcome.state, exit_, tail)

    async def _write_end(self, row: RowMapping, state: SessionState, exit_: Exit | None, tail: list[str]) -> None:
        stop = row["stop_reason"] if row["desired"] == "stopped" else None
        reason = end_reason(stop, exit_, tail, self._clock.now(), workspace=row["workspace_name"])
        memory_peak = exit_.memory_peak if exit_ else None
        await self._seen.write_end(row, state=state, reason=reason, memory_peak=memory_peak)

    async def _fail(self, row: RowMapping, code: str, message: str) -> None:
        reason = Reason(code=code, message=message, at=self._clock.now())
        await self._seen.write_end(row, state=SessionState.FAILED, reason=reason)


async def _observe(row: RowMapping, engine: Engine) -> Observation:
    try:
        return await observe(engine, row["handle"])
    except Unavailable as exc:
        return Observation(Phase.UNKNOWN, message=exc.message)


async def _measure(row: RowMapping, engine: Engine) -> Usage | None:
    """Nothing that a step must do depends on a measurement: one that fails holds up no stop."""
    if not isinstance(engine, Measures):
        return None
    try:
        return await within(MEASURE_SECONDS, engine.name, engine.measure(row["handle"]))
    except Exception:
        _log.exception("not-measured", session=row["id"])
        return None


def _wanted(row: RowMapping) -> Wanted:
    return Wanted(
        desired=row["desired"],
        launch=row["launch"],
        handle_launch=row["handle_launch"],
        state=SessionState(row["state"]),
        started_at=row["placed_at"] or row["started_at"],
        stop_code=(row["stop_reason"] or {}).get("code"),
        waits=bool(row["progress"] and row["progress"]["waiting"]),
    )
