"""What changed in a workspace's environment without us becomes a build: with its lock, its cause, and who it was."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import structlog
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.packages.installed.differing import Change, compare
from studiolo.packages.installed.lock import Lock, LockedPackage
from studiolo.packages.installed.reading import folders_of, stamp_of
from studiolo.packages.installed.snapshots import Orphan, Stamp
from studiolo.server.audit.service import Audit
from studiolo.server.environments import queries
from studiolo.server.environments.build_file import write_build_file
from studiolo.server.environments.locks import Locks
from studiolo.server.environments.planning import FindPolicy
from studiolo.server.environments.specs import read_spec
from studiolo.server.environments.wire import change_of
from studiolo.server.environments.wishes import Wish
from studiolo.server.principal import Principal
from studiolo.server.workspaces import queries as workspace_queries
from studiolo.server.workspaces.folders import Folders

_log = structlog.get_logger(__name__)
# Whom the record names where it cannot tell: several people used the environment, or nobody that is known.
SOMEBODY = Principal("", "somebody", "Somebody", is_admin=False, via="session")
# Of each build, so many events of one kind are written; the build's row has all.
_MOST_EVENTS = 200
# So many builds an environment's own file names, for cells that ran in one of them.
_BUILDS_NOTED = 20


class Users(Protocol):
    """Who uses environments: sessions, and kernels without one."""

    async def list_workspaces_in_use(self, connection: AsyncConnection) -> set[str]:
        """Return the workspaces in which something runs."""
        ...

    async def list_users(self, connection: AsyncConnection, workspace_id: str) -> list[Principal]:
        """Return who runs something in a workspace, each session once, with its id."""
        ...


class Recorder:
    """Compares an environment with its live build and writes what differs as the next one."""

    def __init__(self, db: Database, clock: Clock, audit: Audit, folders: Folders, locks: Locks) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._folders = folders
        self._locks = locks
        # Writes the build that an environment began with.
        self.begin: Callable[[str], Awaitable[object]] = _nothing
        # Who uses the environments; nobody until it is set.
        self.users: Users | None = None
        # The policy that holds for a workspace, as a planner asks for it.
        self.policy: FindPolicy | None = None

    async def find_seen(self, workspace_id: str) -> Stamp | None:
        """Return the state of the folders that the record was last of."""
        async with self._db.read() as connection:
            seen = await queries.find_seen(connection, workspace_id)
        return None if seen is None else tuple((device, folder, at) for device, folder, at in json.loads(seen))

    async def note_beginning(self, workspace_id: str) -> None:
        """Take an environment that was just made, and that nobody has used yet, for what its record says."""
        prefix = self._folders.environment(workspace_id)
        stamp = await asyncio.to_thread(lambda: stamp_of(folders_of(prefix)))
        await self._note(workspace_id, prefix, stamp)

    async def record(self, workspace_id: str, *, is_last_look: bool = True) -> Stamp | None:
        """Bring the record up to date and return the state of the folders that it is of.

        None: look again soon, since a build of ours is under way, or, unless it is the last look, the index has not
        told yet of a delivery. Reads the whole environment. Raises OSError, Unavailable.
        """
        prefix = self._folders.environment(workspace_id)
        async with self._db.read() as connection:
            live = await queries.find_live(connection, workspace_id)
            building = await queries.find_next(connection, workspace_id)
            is_wanted = await workspace_queries.is_live(connection, workspace_id)
        if building is not None:
            return None
        snapshot, lock = await self._locks.read(workspace_id, prefix)
        if not snapshot.stamp or not is_wanted:
            return snapshot.stamp
        if live is None:
            await self.begin(workspace_id)
            return None
        if live["hash"] != lock.hash:
            before = Lock.from_toml(live["lock"])
            if not is_last_look and any(isinstance(one, LockedPackage) for one in _strays(before, lock)):
                return None
            if not await self._write(workspace_id, live, before, lock, snapshot.stamp):
                return None
        await self._note(workspace_id, prefix, snapshot.stamp)
        return snapshot.stamp

    async def _write(self, workspace_id: str, live: RowMapping, before: Lock, lock: Lock, stamp: Stamp) -> bool:
        """Write the next build; False where somebody else began or made one meanwhile."""
        changes = compare(before.packages, lock.packages)
        policy = (await self.policy(workspace_id))[1] if self.policy is not None else None
        async with self._db.write() as tx:
            await workspace_queries.lock(tx.connection, workspace_id)
            if await queries.last_number(tx.connection, workspace_id) != live["number"]:
                return False
            who = await self._author(tx.connection, workspace_id, live, changes)
            values = {
                "state": "ready",
                "base": lock.base,
                "hash": lock.hash,
                "lock": lock.to_toml(),
                "changes": json.dumps([change_of(change).model_dump() for change in changes]),
                "cause": "live",
                "wish": json.dumps(_still_asked(live, lock).to_json()),
                "made_by": who.person_id or None,
                "session_id": who.session_id,
                "policy_hash": policy.hash if policy is not None else None,
                "made_at": _changed_at(stamp, live, self._clock.now()),
                "ended_at": self._clock.now(),
            }
            number = await queries.insert_build(tx.connection, workspace_id, values)
            await self._tell(tx, who, workspace_id, number, changes, _strays(before, lock))
        _log.info("environment-changed-live", workspace=workspace_id, build=number, changes=len(changes))
        return True

    async def _author(
        self, connection: AsyncConnection, workspace_id: str, live: RowMapping, changes: Sequence[Change]
    ) -> Principal:
        """Return who did it: whom the index served since the last build, or who is alone in the environment."""
        users = await self.users.list_users(connection, workspace_id) if self.users is not None else []
        digests = [change.after.digest for change in changes if change.after is not None and change.after.digest]
        rows = await queries.list_delivered(connection, workspace_id, digests)
        served = {
            (row["person_id"], row["session_id"]) for row in rows if row["person_id"] and row["at"] >= live["made_at"]
        }
        candidates = {user for user in users if not served or (user.person_id, user.session_id) in served}
        return candidates.pop() if len(candidates) == 1 and len(served) < 2 else SOMEBODY

    async def _tell(
        self,
        tx: Transaction,
        who: Principal,
        workspace_id: str,
        number: int,
        changes: Sequence[Change],
        strays: Sequence[LockedPackage | Orphan],
    ) -> None:
        events = [(f"package.{change.kind}", change.one.name, _detail(change)) for change in changes]
        for stray in strays:
            if isinstance(stray, LockedPackage):
                detail = {"ecosystem": stray.ecosystem, "version": stray.version, "digest": stray.digest}
                events.append(("package.unverified", stray.name, detail))
            else:
                events.append(("package.unverified", stray.path, {"digest": stray.digest}))
        for action, target, detail in events[:_MOST_EVENTS]:
            await self._audit.record(
                tx, who, action, target, workspace_id=workspace_id, topics=(f"workspace:{workspace_id}",),
                build=number, cause="live", session=who.session_id, **detail,
            )  # fmt: skip

    async def _note(self, workspace_id: str, prefix: Path, stamp: Stamp) -> None:
        """Write down of which state the record is, for kernels and for a platform that starts anew."""
        async with self._db.read() as connection:
            rows = await queries.list_builds(connection, workspace_id, before=None, limit=_BUILDS_NOTED)
        ready = [row for row in reversed(rows) if row["state"] == "ready"]
        seen = json.dumps(stamp)
        if ready and ready[-1]["seen"] != seen:
            await asyncio.to_thread(write_build_file, prefix, ready, stamp)
            async with self._db.write(durable=False) as tx:
                await queries.set_seen(tx.connection, workspace_id, ready[-1]["number"], seen)


async def _nothing(workspace_id: str) -> None:
    return None


def _detail(change: Change) -> dict[str, Any]:
    """Return what changed, and the file that it came from, as the index delivered it."""
    now = change.after
    proof = {"file": now.file, "sha256": now.sha256, "channel": now.channel} if isinstance(now, LockedPackage) else {}
    return change_of(change).model_dump(exclude={"action", "name"}) | proof


def _strays(before: Lock, after: Lock) -> list[LockedPackage | Orphan]:
    """Return what came and nobody delivered: packages, and code that belongs to none."""
    known, code = set(before.packages), set(before.orphans)
    packages = [one for one in after.packages if one.origin == "unproven" and one not in known]
    return [*packages, *(orphan for orphan in after.orphans if orphan not in code)]


def _changed_at(stamp: Stamp, live: RowMapping, now: datetime) -> datetime:
    """Return when the folders were last changed, as they say, between the last build and now."""
    at = datetime.fromtimestamp(max(changed for _, _, changed in stamp) / 1e9, UTC)
    begun: datetime = live["made_at"]
    return min(max(at, begun), now)


def _still_asked(live: RowMapping, lock: Lock) -> Wish:
    """Return what people asked for before and that is to go on holding: what is still there."""
    there = {one.name for one in lock.packages}
    asked = Wish.from_json(json.loads(live["wish"] or "{}")).asked
    return Wish(asked=[spec for spec in asked if read_spec(spec).name in there])
