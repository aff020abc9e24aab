"""Take what is told of a session's activity: by its own extension, and of its kernels by their host."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.models import Activity
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.server.live import Live
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries, usage_queries
from studiolo.server.sessions.lookup import not_found

_LONGEST_PATH = 1024
_COUNTS = ("kernels", "busy_kernels", "connections")
_NOTHING: dict[str, Any] = dict.fromkeys(_COUNTS, 0) | {"last_active_at": None, "notebook": None, "notebook_at": None}


class Reports:
    """A row's activity is the sum of both: `own`, what the session said, and `host`, what its kernels' host said."""

    def __init__(self, db: Database, clock: Clock, live: Live) -> None:
        self._db = db
        self._clock = clock
        self._live = live
        # By launch (`s-….3`), as the host last told; None before it has.
        self._told: dict[str, dict[str, Any]] | None = None
        self._told_at: datetime | None = None
        # The same of hosts beside sessions elsewhere, each of which tells of one launch.
        self._elsewhere: dict[str, dict[str, Any]] = {}
        self._elsewhere_at: dict[str, datetime] = {}

    def kernels_at(self, launch: str) -> datetime | None:
        """Return when the kernels of a launch (`s-….3`) were last told of; None: never to this process."""
        return self._elsewhere_at.get(launch, self._told_at)

    def heard_at(self, launch: str) -> datetime | None:
        """Return when the host of a launch elsewhere was last heard; None: never by this process."""
        return self._elsewhere_at.get(launch)

    async def report(
        self, who: Principal, session_id: str, activity: Activity, *, notebook_at: datetime | None = None
    ) -> None:
        """Store a session's own report; raises NotFound for everybody but the session."""
        if who.session_id != session_id or who.workspace_id is None:
            raise not_found(session_id)
        own = activity.model_dump(mode="json")
        own["notebook_at"] = _text(notebook_at or activity.last_active_at)
        async with self._db.write() as tx:
            row = await queries.find(tx.connection, session_id)
            if row is not None:
                await self._write(tx, row, own=own)

    async def take_kernels(
        self, kernels: Iterable[Mapping[str, Any]], *, launch: str | None = None, alive: Collection[str] = ()
    ) -> None:
        """Store what was told of all kernels here, or in a `launch` elsewhere; `alive`: all launches that run.

        Of each kernel: {scope, state, connections, last_active_at, path}.
        """
        told = _by_launch(kernels)
        if launch is not None:
            await self._take_elsewhere(launch, told.get(launch, _NOTHING))
            return
        for gone in self._elsewhere.keys() - set(alive):
            del self._elsewhere[gone], self._elsewhere_at[gone]
        async with self._db.read() as connection:
            changed = await self._find_changed(connection, told)
        if changed:
            async with self._db.write(durable=False) as tx:
                for launch in changed:
                    await self._write_launch(tx, launch, told.get(launch, _NOTHING))
        self._told, self._told_at = told, self._clock.now()

    async def _take_elsewhere(self, launch: str, told: dict[str, Any]) -> None:
        if self._elsewhere.get(launch) != told:
            async with self._db.write(durable=False) as tx:
                await self._write_launch(tx, launch, told)
        self._elsewhere[launch], self._elsewhere_at[launch] = told, self._clock.now()

    async def _find_changed(self, connection: AsyncConnection, told: Mapping[str, dict[str, Any]]) -> list[str]:
        if self._told is None:
            # The first time in this process: what rows say may be of before.
            return sorted(await queries.list_launches_alive(connection) - self._elsewhere.keys())
        return [one for one in {*told, *self._told} if told.get(one, _NOTHING) != self._told.get(one, _NOTHING)]

    async def _write_launch(self, tx: Transaction, launch: str, host: dict[str, Any]) -> None:
        session_id, _, number = launch.partition(".")
        row = await queries.find(tx.connection, session_id)
        if row is not None and row["state"] in queries.ALIVE and str(row["handle_launch"]) == number:
            await self._write(tx, row, host=host)

    async def _write(self, tx: Transaction, row: RowMapping, **parts: dict[str, Any]) -> None:
        known = row["activity"] or {}
        kept = {name: known[name] for name in ("own", "host") if known.get(name)} | parts
        if "own" not in parts and kept == {name: known.get(name) for name in kept}:
            return
        reported_at = parts["own"]["reported_at"] if "own" in parts else self._clock.now().isoformat()
        now = _merge(kept.get("own"), kept.get("host"), reported_at)
        await queries.update_intent(tx.connection, row["id"], activity=now | kept)
        path, at = now["notebook"], now["notebook_at"]
        was_run = (known.get("notebook"), known.get("notebook_at")) != (path, at)
        if path and at and was_run and len(path) <= _LONGEST_PATH:
            # No session's clock makes its notebooks the newest for ever.
            at = min(datetime.fromisoformat(at), datetime.fromisoformat(reported_at))
            await usage_queries.note_execution(tx.connection, row["workspace_id"], path, at, row["id"])
        topics = ("home", f"session:{row['id']}")
        tx.after_commit(
            lambda: self._live.publish(topics, workspace_id=row["workspace_id"], person_id=row["person_id"])
        )


def _merge(own: Mapping[str, Any] | None, host: Mapping[str, Any] | None, reported_at: str) -> dict[str, Any]:
    """Return an Activity as JSON, with `notebook_at`: when that notebook was last run or saved."""
    own, host = own or _NOTHING, host or _NOTHING
    later = max((own, host), key=lambda part: (part["notebook"] is not None, part["notebook_at"] or ""))
    times = [time for time in (own["last_active_at"], host["last_active_at"]) if time]
    return {
        **{name: own[name] + host[name] for name in _COUNTS},
        "terminals": own.get("terminals", 0),
        "busy_terminals": own.get("busy_terminals", 0),
        "last_active_at": max(times, key=datetime.fromisoformat) if times else None,
        "notebook": later["notebook"],
        "notebook_at": later["notebook_at"],
        "reported_at": reported_at,
        "kernels_survive": own.get("kernels_survive", True),
        "environment_note": own.get("environment_note", ""),
    }


def _by_launch(kernels: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what the kernels of each session's launch do together."""
    told: dict[str, dict[str, Any]] = {}
    for kernel in kernels:
        if not kernel["scope"].startswith("s-"):
            continue
        sums = told.setdefault(kernel["scope"], dict(_NOTHING))
        sums["kernels"] += 1
        sums["busy_kernels"] += kernel["state"] == "busy"
        sums["connections"] += kernel["connections"]
        at = _text(kernel["last_active_at"])
        sums["last_active_at"] = max(sums["last_active_at"] or "", at or "") or None
        path = kernel["path"] or ""
        if path.endswith(".ipynb") and (at or "") >= (sums["notebook_at"] or ""):
            sums |= {"notebook": path, "notebook_at": at}
    return told


def _text(at: datetime | None) -> str | None:
    # One spelling, so that texts compare as times.
    return at.astimezone(UTC).isoformat(timespec="microseconds") if at else None
