"""Sees to builds: a reconciler that has each one made that a row asks for, and writes how it ended."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog

from studiolo.contract.errors import Internal, StudioloError, Unavailable
from studiolo.contract.models import EnvironmentState
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.kit.reconcile import Runner
from studiolo.packages.installed.differing import compare
from studiolo.packages.installed.lock import Lock
from studiolo.server.audit.service import Audit
from studiolo.server.environments import queries
from studiolo.server.environments.exchange import exchange
from studiolo.server.environments.locks import Locks
from studiolo.server.environments.making import Job, Made, Maker
from studiolo.server.environments.progress import Progress
from studiolo.server.environments.service import Environments
from studiolo.server.environments.wire import change_of, principal_of
from studiolo.server.environments.wishes import Wish
from studiolo.server.workspaces import queries as workspace_queries
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces

_log = structlog.get_logger(__name__)
_LOOK_AGAIN = timedelta(seconds=1)


class Builder:
    """Has builds made, one at a time for each workspace; the old environment stays until the new one is whole.

    `on_ended(workspace_id, number)` is called when one is ready, failed or cancelled.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        audit: Audit,
        workspaces: Workspaces,
        folders: Folders,
        environments: Environments,
        maker: Maker,
        locks: Locks,
        progress: Progress,
    ) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._workspaces = workspaces
        self._folders = folders
        self._environments = environments
        self._maker = maker
        self._locks = locks
        self._progress = progress
        self._running: dict[str, tuple[int, asyncio.Task[None]]] = {}
        self.on_ended: Callable[[str, int], None] = lambda workspace_id, number: None
        self.runner = Runner("builds", step=self._step, due=self._due, concurrency=2)

    def interrupt(self, workspace_id: str, number: int) -> None:
        """End the work on a build whose row says that it was cancelled."""
        running, task = self._running.get(workspace_id, (None, None))
        if running == number and task is not None:
            task.cancel()
        self._ended(workspace_id, number)

    async def record_beginning(self, workspace_id: str, *, is_fresh: bool = True) -> None:
        """Write the build that a workspace's environment begins with, or begins with again.

        `is_fresh`: it was just made from its base; else it may hold more.
        """
        prefix = self._folders.environment(workspace_id)
        if is_fresh:
            lock = await self._locks.beginning(workspace_id, prefix)
        else:
            _, lock = await self._locks.read(workspace_id, prefix)
        async with self._db.write() as tx:
            await workspace_queries.lock(tx.connection, workspace_id)
            live = await queries.find_live(tx.connection, workspace_id)
            if live is not None and live["hash"] == lock.hash:
                return
            before = Lock.from_toml(live["lock"]).packages if live is not None and live["lock"] else None
            changes = [] if before is None else [change_of(one) for one in compare(before, lock.packages)]
            now = self._clock.now()
            values = _ready(lock, changes) | {
                "cause": "base" if live is None else "reset",
                "wish": "{}",
                "made_at": now,
                "ended_at": now,
            }
            await queries.insert_build(tx.connection, workspace_id, values, is_first=live is None)

    async def _due(self) -> list[str]:
        async with self._db.read() as connection:
            return await queries.list_waiting(connection)

    async def _step(self, workspace_id: str) -> timedelta | None:
        async with self._db.read() as connection:
            row = await queries.find_next(connection, workspace_id)
            live = await queries.find_live(connection, workspace_id)
            workspaces = await workspace_queries.list_by_id(connection, [workspace_id])
        if row is None or not workspaces:
            return None
        environment = self._folders.environment(workspace_id)
        job = Job(
            row,
            Wish.from_json(json.loads(row["wish"])),
            workspaces[0]["name"],
            environment,
            lambda line: self._progress.add(workspace_id, row["number"], line),
        )
        if (await self._workspaces.environment_state(workspace_id))[0] is not EnvironmentState.READY:
            job.tell("Waiting for the environment that it is to change")
            self._environments.want(workspace_id)
            return _LOOK_AGAIN
        if live is None:
            await self.record_beginning(workspace_id, is_fresh=False)
        await self._see_to(job)
        return timedelta(0)

    async def _see_to(self, job: Job) -> None:
        task = asyncio.create_task(self._make(job))
        self._running[job.id] = (job.number, task)
        try:
            await asyncio.wait({task})
        finally:
            # Cancelled ourselves: the platform ends, and the next one begins this build again.
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            del self._running[job.id]
            await self._environments.clear_up(job.fresh)

    async def _make(self, job: Job) -> None:
        try:
            if not job.live.exists():
                await self._environments.restore(job.id)
                why = "The environment had vanished and is made anew."
                raise Unavailable("environment-not-ready", why, hint="Try again after it.")
            await self._publish(job, await self._maker.make(job))
        except StudioloError as error:
            await self._fail(job, error)
        except OSError as exc:
            why = f"The environment could not be written: {exc.strerror or exc}."
            await self._fail(job, Unavailable("build-failed", why, hint="See that its disk has space, then try again."))
        except Exception:
            _log.exception("build-failed", workspace=job.id, build=job.number)
            await self._fail(job, Internal("internal", "An unexpected fault; the log has the detail."))

    async def _publish(self, job: Job, made: Made) -> None:
        """Exchange the environments and write what was built, or leave all as it is when it was cancelled."""
        await asyncio.to_thread(self._folders.give, job.id, job.fresh)
        async with self._db.write() as tx:
            live = await queries.find_live(tx.connection, job.id)
            before = Lock.from_toml(live["lock"]).packages if live is not None and live["lock"] else ()
            asked = Wish.from_json(json.loads(live["wish"])).asked if live is not None else []
            changes = [change_of(one) for one in compare(before, made.lock.packages)]
            values = _ready(made.lock, changes) | {
                "ended_at": self._clock.now(),
                "policy_hash": made.policy_hash,
                "wish": json.dumps(job.wish.settled(asked).to_json()),
                "message": None if changes else _unchanged(made.is_fresh),
            }
            if not await queries.end_build(tx.connection, job.id, job.number, values):
                return
            for one in changes:
                detail = one.model_dump(exclude={"action", "name"}, exclude_none=True)
                await self._record(tx, job, f"package.{one.action}", one.name, **detail)
            if made.is_fresh:
                # Within the transaction: a commit that fails then has the build made once more.
                await asyncio.to_thread(exchange, job.fresh, job.live)
            tx.after_commit(lambda: self._ended(job.id, job.number))

    async def _fail(self, job: Job, error: StudioloError) -> None:
        _log.info("build-not-made", workspace=job.id, build=job.number, code=error.code, message=error.message)
        violations = error.extra.get("violations", [])
        values = {
            "state": "failed",
            "ended_at": self._clock.now(),
            "code": error.code,
            "message": f"{error.message} {error.hint or ''}".strip(),
            "violations": json.dumps(violations),
        }
        async with self._db.write() as tx:
            if await queries.end_build(tx.connection, job.id, job.number, values):
                names = [one["name"] for one in violations]
                await self._record(tx, job, "environment.failed", job.name, code=error.code, packages=names)
                tx.after_commit(lambda: self._ended(job.id, job.number))

    async def _record(self, tx: Transaction, job: Job, action: str, target: str, **detail: Any) -> None:
        more: dict[str, Any] = {"build": job.number, "cause": job.row["cause"]}
        if job.row["session_id"]:
            more["session"] = job.row["session_id"]
        who, topics = principal_of(job.row), (f"workspace:{job.id}",)
        await self._audit.record(tx, who, action, target, workspace_id=job.id, topics=topics, **detail, **more)

    def _ended(self, workspace_id: str, number: int) -> None:
        self._progress.wake(workspace_id)
        self.on_ended(workspace_id, number)


def _ready(lock: Lock, changes: list[Any]) -> dict[str, Any]:
    return {
        "state": "ready",
        "hash": lock.hash,
        "lock": lock.to_toml(),
        "base": lock.base,
        "changes": json.dumps([one.model_dump() for one in changes]),
    }


def _unchanged(is_fresh: bool) -> str:
    return "Made anew, with the same packages." if is_fresh else "Everything was there already."
