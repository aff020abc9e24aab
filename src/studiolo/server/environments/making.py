"""The work of one build: a changed copy of the live environment beside it, and the lock of what is in it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import RowMapping

from studiolo.contract.environments import Ecosystem, Plan, Violation
from studiolo.contract.errors import Denied, NotFound, Unavailable
from studiolo.kit.db import Database
from studiolo.kit.threads import finish_in_thread
from studiolo.packages.installed.lock import Lock
from studiolo.packages.installed.reading import folders_of, read_environment, stamp_of
from studiolo.packages.policy.remedies import remedy_of, wish_of
from studiolo.runtime.bases import base_of
from studiolo.server.environments import queries
from studiolo.server.environments.altering import Steps, steps_for, steps_to, steps_without
from studiolo.server.environments.clone import clone, interpreter_of, next_of, remove
from studiolo.server.environments.installing import Alteration, IndexAccess, Resolved, Tell
from studiolo.server.environments.locks import Locks
from studiolo.server.environments.mirroring import mirror
from studiolo.server.environments.package_files import check_hashes
from studiolo.server.environments.planning import Planner
from studiolo.server.environments.spares import Spares
from studiolo.server.environments.wishes import Wish

# Somebody may install in a notebook meanwhile; the build begins again then, but not for ever.
_ATTEMPTS = 4
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Job:
    """A build to be made: its row and wish, its workspace's name, the live environment, who hears how it goes."""

    row: RowMapping
    wish: Wish
    name: str
    live: Path
    tell: Tell

    @property
    def fresh(self) -> Path:
        """Where the environment is made that is to be exchanged with the live one."""
        return next_of(self.live)

    @property
    def id(self) -> str:
        """Of the workspace."""
        return str(self.row["workspace_id"])

    @property
    def number(self) -> int:
        """Of the build."""
        return int(self.row["number"])


# Lets a build fetch from the index in the name of its workspace, for as long as the context lasts.
OpenIndex = Callable[[Job], AbstractAsyncContextManager[IndexAccess]]


@dataclass(frozen=True, slots=True)
class Made:
    """What `make` made. `is_fresh`: it lies at `job.fresh`; else the live environment is it already."""

    lock: Lock
    policy_hash: str | None
    is_fresh: bool


class Maker:
    """Makes environments beside live ones; what it leaves of them is the caller's to remove."""

    def __init__(self, db: Database, planner: Planner, locks: Locks, spares: Spares) -> None:
        self._db = db
        self._planner = planner
        self._locks = locks
        self._spares = spares
        # None: files come from where this machine itself gets them.
        self.index: OpenIndex | None = None

    async def make(self, job: Job) -> Made:
        """Make what a job wishes. Raises StudioloError with what stands in the way, OSError."""
        for _ in range(_ATTEMPTS):
            stamp = await asyncio.to_thread(_stamp, job.live)
            copying = asyncio.create_task(self._copy(job))
            try:
                # At the same time: one waits for the disk, the other for the network.
                steps, policy_hash = await self._decide(job)
            except BaseException:
                copying.cancel()
                await asyncio.wait({copying})
                raise
            await copying
            await self._apply(job, steps)
            _, lock = await self._locks.read(job.id, job.fresh, installed=steps.installed)
            if await asyncio.to_thread(_stamp, job.live) == stamp:
                return Made(lock, policy_hash, not steps.is_empty)
            job.tell("Somebody installed something meanwhile; beginning again with it")
        raise Unavailable(
            "build-failed",
            "Each time it was ready, somebody had installed something else meanwhile.",
            hint="Wait until installers in notebooks and terminals are done, then try again.",
        )

    async def _copy(self, job: Job) -> None:
        """Have a copy of the live environment beside it, out of a spare clone of its base where there is one."""
        await finish_in_thread(partial(remove, job.fresh))
        if await self._spares.take(base_of(job.live), job.fresh):
            await finish_in_thread(partial(_mirror, job.live, job.fresh))
        else:
            await finish_in_thread(partial(clone, job.live, job.fresh))

    async def _decide(self, job: Job) -> tuple[Steps, str | None]:
        wish = job.wish
        if wish.specs:
            return await self._plan(job)
        live = await asyncio.to_thread(read_environment, job.live)
        base = await self._locks.base(job.id, job.live)
        if wish.remove:
            return steps_without(wish.remove, live, base.snapshot, job.name), None
        return steps_to(await self._lock_of(job), live, base.snapshot, anew=wish.anew), None

    async def _plan(self, job: Job) -> tuple[Steps, str | None]:
        job.tell("Looking for versions that fit")
        closures: list[tuple[Ecosystem, list[Resolved]]] = []
        live = await asyncio.to_thread(read_environment, job.live)
        for ecosystem, specs in job.wish.specs:
            plan, closure = await self._planner.plan(
                job.id,
                specs,
                ecosystem,
                upgrade=job.wish.upgrade,
                channels=job.wish.channels,
                explain=False,
                installed=live,
            )
            if plan.violations:
                raise refused(plan, job.name)
            check_hashes(closure, job.wish.hashes)
            closures.append((ecosystem, closure))
        steps = steps_for(closures, live)
        job.tell(_count(steps.installed))
        return steps, plan.policy_hash

    async def _lock_of(self, job: Job) -> Lock:
        if job.wish.lock:
            return Lock.from_toml(job.wish.lock)
        async with self._db.read() as connection:
            row = await (
                queries.find_live(connection, job.id)
                if job.wish.to is None
                else queries.find_build(connection, job.id, job.wish.to)
            )
        if row is None or not row["lock"]:
            raise NotFound("build-not-found", f"Build {job.wish.to} of {job.name!r} has no lock.")
        return Lock.from_toml(row["lock"])

    async def _apply(self, job: Job, steps: Steps) -> None:
        if steps.from_base:
            job.tell("Beginning from the base")
            await finish_in_thread(partial(_clone, base_of(job.live), job.fresh))
        interpreter = await asyncio.to_thread(interpreter_of, job.live)
        for part in steps.parts:
            installer = self._planner.find(part.ecosystem)
            async with self.index(job) if self.index is not None else nullcontext() as index:
                change = Alteration(interpreter, part.install, part.remove, index, home=job.live)
                await installer.apply(job.fresh, change, job.tell)


def refused(plan: Plan, workspace: str) -> Denied:
    """Return the error that names all that a policy refuses of a plan, each with its rule, and what can be done."""
    said = [_said(one) for one in plan.violations[:_NAMED]]
    more = len(plan.violations) - _NAMED
    wished = [(one.code, one.ecosystem, wish_of(one.verdict, one.name, one.version)) for one in plan.violations]
    return Denied(
        "package-refused",
        " ".join([*said, *([f"{more} more are refused."] if more > 0 else [])]),
        hint=remedy_of(workspace, wished),
        violations=[one.model_dump(mode="json") for one in plan.violations],
    )


def _said(one: Violation) -> str:
    because = one.because if one.name in one.because else f"{one.name} {one.version}: {one.because}"
    rule = f" (rule: {one.rule})" if one.rule else ""
    by = f" {one.path[-2]} needs it." if len(one.path) > 1 else ""
    return f"{because.rstrip('.')}{rule}.{by}"


def _count(packages: Sequence[Resolved]) -> str:
    if not packages:
        return "Everything is there already"
    return f"Installing {len(packages)} {'package' if len(packages) == 1 else 'packages'}"


def _stamp(environment: Path) -> object:
    return stamp_of(folders_of(environment))


def _clone(source: Path, target: Path) -> None:
    remove(target)
    clone(source, target)


def _mirror(live: Path, fresh: Path) -> None:
    try:
        mirror(live, fresh)
    except BaseException:
        remove(fresh)
        raise
