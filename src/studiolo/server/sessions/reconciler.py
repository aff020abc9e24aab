"""Makes sessions so: looks at what is wanted and what is, does one step, writes down what was seen."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import RowMapping

from studiolo.contract.errors import Unavailable
from studiolo.contract.models import EnvironmentState, Reason, SessionState
from studiolo.engines.base import (
    Closes,
    Engine,
    Exit,
    Forgets,
    Handle,
    Logs,
    Observation,
    Phase,
    Sweeps,
    Watches,
    WorkloadSpec,
)
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.kit.reconcile import Runner
from studiolo.server.accounts.keys import Keys
from studiolo.server.audit.service import Audit
from studiolo.server.live import Live
from studiolo.server.principal import PLATFORM
from studiolo.server.sessions import queries
from studiolo.server.sessions.changes import Changes
from studiolo.server.sessions.lifecycle import Next, Outcome, Wanted, decide_next, decide_outcome
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.server.sessions.wire import end_reason
from studiolo.server.settings.sessions import SessionSettings
from studiolo.server.workspaces.folders import Folders

_log = structlog.get_logger(__name__)
_LOG_TAIL = 10
_SWEEP_SECONDS = 30.0


class SessionReconciler:
    """Runs the steps. Its writes are guarded by a lease: a process that lost it changes nothing."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        engines: Mapping[str, Engine],
        keys: Keys,
        audit: Audit,
        live: Live,
        changes: Changes,
        session_secrets: SessionSecrets,
        folders: Folders,
        settings: SessionSettings,
        *,
        address: str,
        variables: Mapping[str, str],
    ) -> None:
        self._db = db
        self._clock = clock
        self._engines = engines
        self._keys = keys
        self._audit = audit
        self._live = live
        self._changes = changes
        self._secrets = session_secrets
        self._folders = folders
        self._settings = settings
        self._address = address
        self._variables = variables
        self.owner = secrets.token_hex(8)
        self._epochs: dict[str, int] = {}
        self._waiting: dict[str, set[str]] = defaultdict(set)
        self._watches: dict[tuple[str, int], asyncio.Task[None]] = {}
        self.on_environment_missing: Callable[[str], Awaitable[None]] | None = None
        self.runner = Runner("sessions", step=self._step, due=self._due)

    def adopt(self, session_id: str) -> None:
        """Called when a session was inserted with our lease, so that its first step need not claim it."""
        self._epochs[session_id] = 1

    def look_at_workspace(self, workspace_id: str) -> None:
        """Look soon at the sessions that wait for a workspace's environment."""
        for session_id in self._waiting.pop(workspace_id, set()):
            self.runner.hint(session_id)

    async def sweep_forever(self) -> None:
        """Now and then end what engines run and nobody wants (promise R4: no orphans)."""
        while True:
            for engine in self._engines.values():
                if isinstance(engine, Sweeps):
                    await self._sweep(engine)
            await asyncio.sleep(_SWEEP_SECONDS)

    async def close(self) -> None:
        """Stop watching; the sessions run on."""
        for task in self._watches.values():
            task.cancel()
        await asyncio.gather(*self._watches.values(), return_exceptions=True)
        for engine in self._engines.values():
            if isinstance(engine, Closes):
                await engine.aclose()

    async def _sweep(self, engine: Sweeps) -> None:
        try:
            for name in await engine.sweep(self._list_wanted):
                _log.warning("orphan-ended", workload=name)
        except Exception:
            _log.exception("sweep-failed")

    async def _list_wanted(self) -> set[tuple[str, int]]:
        async with self._db.read() as connection:
            return await queries.list_wanted(connection)

    async def _due(self) -> list[str]:
        async with self._db.read() as connection:
            return await queries.list_due(connection)

    async def _step(self, session_id: str) -> timedelta | None:
        async with self._db.read() as connection:
            row = await queries.find(connection, session_id)
        if row is None:
            return None
        if row["deleted_at"] is not None and row["handle_launch"] is None:
            engine = self._engine(row)
            if isinstance(engine, Forgets):
                await engine.forget(session_id)
            return None
        wanted = _wanted(row)
        match decide_next(wanted):
            case Next.NOTHING:
                return None
            case Next.START:
                return await self._start(row)
            case Next.SETTLE:
                reason = end_reason(row["stop_reason"], None, [], self._clock.now())
                await self._write(row, state=SessionState.STOPPED, ended=True, reason=reason)
                return None
            case Next.OBSERVE:
                return await self._settle(row, wanted, await self._engine(row).observe(row["handle"]))
            case Next.STOP:
                seen = await self._engine(row).observe(row["handle"])
                if seen.phase is not Phase.ENDED:
                    await self._engine(row).stop(row["handle"], grace=self._settings.stop_grace)
                return await self._settle(row, wanted, seen)

    async def _start(self, row: RowMapping) -> timedelta | None:
        if row["environment_state"] != EnvironmentState.READY:
            return await self._await_environment(row)
        if self.on_environment_missing and not self._folders.environment(row["workspace_id"]).is_dir():
            await self.on_environment_missing(row["workspace_id"])
            return timedelta(0)
        try:
            handle = await self._engine(row).start(self._spec(row))
        except Unavailable as exc:
            if self._clock.now() - row["requested_at"] < self._settings.start_timeout:
                raise
            reason = Reason(code=exc.code, message=f"{exc.message} {exc.hint or ''}".strip(), at=self._clock.now())
            await self._write(row, state=SessionState.FAILED, ended=True, reason=reason, desired="stopped")
            return None
        now = self._clock.now()
        # The object is there, whatever is wanted by now: with its handle stored it ends before a newer launch begins.
        written = await self._write(
            row,
            of_any_launch=True,
            state=SessionState.STARTING,
            handle=handle,
            handle_launch=row["launch"],
            started_at=now,
        )
        if written:
            self._watch(row, handle, row["launch"])
        # Look at once: it may be ready already, or a newer wish may have come, which ends this object.
        return timedelta(0)

    async def _await_environment(self, row: RowMapping) -> timedelta | None:
        if row["environment_message"] is None:
            self._waiting[row["workspace_id"]].add(row["id"])
            # It may have become ready between the look and this line: look once more, unhurried.
            return timedelta(seconds=2)
        message = f"The workspace's environment could not be made. {row['environment_message']}"
        reason = Reason(code="environment-not-ready", message=message, at=self._clock.now())
        await self._write(row, state=SessionState.FAILED, ended=True, reason=reason, desired="stopped")
        return None

    async def _settle(self, row: RowMapping, wanted: Wanted, seen: Observation) -> timedelta | None:
        outcome = decide_outcome(wanted, seen, self._clock.now(), self._settings.start_timeout)
        if outcome.gives_up:
            limit = f"{self._settings.start_timeout.total_seconds():.0f} s"
            await self._write(
                row,
                state=outcome.state,
                desired="stopped",
                stop_reason={"code": "start-timeout", "by": limit},
            )
            return outcome.look_again
        if seen.phase in (Phase.STARTING, Phase.READY) and row["handle_launch"] is not None:
            self._watch(row, row["handle"], row["handle_launch"])
        if outcome.ended:
            await self._write_end(row, outcome, seen.exit)
        elif outcome.forget_handle:
            await self._write(row, state=outcome.state, handle=None, handle_launch=None, upstream=None)
        elif outcome.state is SessionState.RUNNING:
            if row["state"] != SessionState.RUNNING or row["upstream"] != seen.upstream:
                ready_at = row["ready_at"] or self._clock.now()
                await self._write(row, state=outcome.state, upstream=seen.upstream, ready_at=ready_at)
        elif outcome.state != row["state"]:
            await self._write(row, state=outcome.state)
        return outcome.look_again

    async def _write_end(self, row: RowMapping, outcome: Outcome, exit_: Exit | None) -> None:
        tail: list[str] = []
        if outcome.state is SessionState.FAILED:
            engine = self._engine(row)
            tail = await engine.tail(row["handle"], lines=_LOG_TAIL) if isinstance(engine, Logs) else []
        stop = row["stop_reason"] if row["desired"] == "stopped" else None
        reason = end_reason(stop, exit_, tail, self._clock.now())
        await self._write(
            row,
            state=outcome.state,
            ended=True,
            reason=reason,
            desired="stopped",
            handle=None,
            handle_launch=None,
            upstream=None,
        )

    async def _write(
        self,
        row: RowMapping,
        *,
        state: SessionState,
        ended: bool = False,
        reason: Reason | None = None,
        of_any_launch: bool = False,
        **values: Any,
    ) -> bool:
        """Write what was seen; False if the lease or (unless `of_any_launch`) the launch is another by now."""
        if ended:
            at = reason.at if reason else self._clock.now()
            values |= {"ended_at": at, "activity": _at_rest(row["activity"])}
        if reason is not None:
            values["reason"] = reason.model_dump(mode="json")
        async with self._db.write() as tx:
            epoch = self._epochs.get(row["id"])
            if epoch is None:
                epoch = await queries.claim(tx.connection, row["id"], self.owner)
            launch = None if of_any_launch else row["launch"]
            written = await queries.update_seen(
                tx.connection, row["id"], self.owner, epoch, launch, state=state.value, **values
            )
            if written and ended:
                await self._record_end(tx, row, reason)
            tx.after_commit(lambda: self._announce(row, epoch))
        return written

    def _announce(self, row: RowMapping, epoch: int) -> None:
        self._epochs[row["id"]] = epoch
        self._changes.announce(row["id"])
        topics = ("home", f"session:{row['id']}", f"workspace:{row['workspace_id']}")
        self._live.publish(topics, workspace_id=row["workspace_id"])

    async def _record_end(self, tx: Transaction, row: RowMapping, reason: Reason | None) -> None:
        await self._keys.revoke_session_keys(tx, row["id"])
        await self._audit.record(
            tx,
            PLATFORM,
            "session.ended",
            row["name"],
            workspace_id=row["workspace_id"],
            session=row["id"],
            reason=reason.code if reason else None,
        )

    def _watch(self, row: RowMapping, handle: Handle, launch: int) -> None:
        engine, key = self._engine(row), (row["id"], launch)
        if key in self._watches or not isinstance(engine, Watches):
            return
        task = asyncio.create_task(self._follow(engine, handle, row["id"]))
        self._watches[key] = task
        task.add_done_callback(lambda _: self._watches.pop(key, None))

    async def _follow(self, engine: Watches, handle: Handle, session_id: str) -> None:
        try:
            async for _ in engine.watch(handle):
                self.runner.hint(session_id)
        except Unavailable as exc:
            _log.warning("watch-failed", session=session_id, message=exc.message)
        self.runner.hint(session_id)

    def _engine(self, row: RowMapping) -> Engine:
        return self._engines[row["engine"]]

    def _spec(self, row: RowMapping) -> WorkloadSpec:
        return WorkloadSpec(
            workload_id=row["id"],
            launch=row["launch"],
            folder=self._folders.of(row["workspace_id"], row["workspace_root"]),
            environment=self._folders.environment(row["workspace_id"]),
            base_url=f"/s/{row['id']}/",
            secret=self._secrets.of_launch(row["id"], row["launch"]),
            platform_url=self._address,
            api_key=self._secrets.api_key(row["id"], row["launch"]),
            variables={
                **self._variables,
                **_own_places(self._folders.of_person(row["workspace_id"], row["person_id"])),
                "STUDIOLO_WORKSPACE": f"{row['owner_name']}/{row['workspace_name']}",
            },
        )


def _at_rest(activity: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is left of a session's activity when it has ended: where its person was."""
    if not activity or not activity.get("notebook"):
        return None
    counts = ("kernels", "busy_kernels", "terminals", "busy_terminals", "connections")
    return activity | dict.fromkeys(counts, 0)


def _own_places(folder: Path) -> dict[str, str]:
    """A person's own JupyterLab in a workspace: settings, tabs and history come back in their next session."""
    return {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "lab" / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
    }


def _wanted(row: RowMapping) -> Wanted:
    return Wanted(
        desired=row["desired"],
        launch=row["launch"],
        handle_launch=row["handle_launch"],
        state=SessionState(row["state"]),
        started_at=row["started_at"],
        stop_code=(row["stop_reason"] or {}).get("code"),
    )
