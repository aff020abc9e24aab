"""Environments that notebooks name, had again in another workspace."""

import asyncio
import json

from sqlalchemy import RowMapping

from studiolo.contract.environments import Build
from studiolo.contract.errors import Conflict, Denied, NotFound
from studiolo.contract.notebook_environments import EnvironmentRestore
from studiolo.kit.db import Database
from studiolo.packages.installed.lock import Lock
from studiolo.server.environments import queries
from studiolo.server.environments.builds import Builds
from studiolo.server.environments.foreign_locks import read_lock
from studiolo.server.environments.specs import read_spec
from studiolo.server.environments.wishes import Wish
from studiolo.server.principal import Principal
from studiolo.server.workspaces.service import Workspaces

# The same lock may have been that of so many builds; of others nobody is asked whether they may be read.
_MOST_BUILDS = 200
_NAMED = 5


class Restoring:
    """Finds locks by their hash among what a person may read, and asks for builds that hold the same."""

    def __init__(self, db: Database, workspaces: Workspaces, builds: Builds) -> None:
        self._db = db
        self._workspaces = workspaces
        self._builds = builds

    async def restore(self, who: Principal, reference: str, form: EnvironmentRestore) -> Build:
        """Ask for a build of a workspace that holds what was named: by its lock, else the packages.

        Raises NotFound (`environment-unknown`), Conflict (`python-differs`, `environment-not-portable`), InvalidInput
        (`package-invalid`, `lock-invalid`).
        """
        brought = await asyncio.to_thread(read_lock, form.lock) if form.lock is not None else None
        async with self._db.read() as connection:
            target = await self._workspaces.resolve(connection, who, reference, "environment.change")
            live = await queries.find_live(connection, target["id"])
        if brought is not None:
            _check_python(brought, live, target["name"])
            _check_files(brought)
            wish = Wish(lock=brought.to_toml(), asked=[one.name for one in brought.added if one.ecosystem == "pypi"])
            return await self._builds.begin(who, target["id"], wish, cause="restore")
        found = await self._find(who, (form.hash or "").removeprefix("sha256:"))
        if found is not None:
            lock = Lock.from_toml(found["lock"])
            _check_python(lock, live, target["name"])
            _check_files(lock)
            wish = Wish(lock=found["lock"], asked=Wish.from_json(json.loads(found["wish"] or "{}")).asked)
        elif form.packages or form.conda:
            wish = Wish(install=[str(read_spec(spec)) for spec in form.packages], conda=form.conda)
        else:
            raise NotFound(
                "environment-unknown",
                "This platform has no environment of this hash that you may read, and no packages are named."
                if form.hash
                else "No environment is named, neither by a hash nor by packages.",
                hint="Where it ran: studiolo environment stamp NOTEBOOK --packages. Then restore that notebook.",
            )
        return await self._builds.begin(who, target["id"], wish, cause="restore")

    async def restore_lock(self, who: Principal, workspace_id: str, text: str) -> int:
        """Ask for a build of what a lock names, and return its number. Raises as `restore`."""
        return (await self.restore(who, workspace_id, EnvironmentRestore(lock=text))).number

    async def find_lock(self, workspace_id: str) -> str:
        """Return the text of a workspace's lock, for a caller that has authorised somebody; "" where it has none."""
        async with self._db.read() as connection:
            live = await queries.find_live(connection, workspace_id)
        return (live["lock"] if live is not None else "") or ""

    async def _find(self, who: Principal, hash_: str) -> RowMapping | None:
        """Return the newest build of a hash that may be read, before all one whose files can all be fetched."""
        found = None
        async with self._db.read() as connection:
            for row in await queries.list_by_hash(connection, hash_, limit=_MOST_BUILDS) if hash_ else ():
                try:
                    await self._workspaces.resolve(connection, who, row["workspace_id"], "environment.read")
                except (NotFound, Denied):
                    continue
                found = found or row
                if not _strays(Lock.from_toml(row["lock"])):
                    return row
        return found


def _check_python(lock: Lock, live: RowMapping | None, name: str) -> None:
    there = Lock.from_toml(live["lock"]).python if live is not None and live["lock"] else lock.python
    if lock.python != there:
        raise Conflict(
            "python-differs",
            f"The environment is of Python {lock.python}, and {name!r} has Python {there}.",
            hint=f"Make a workspace with python_version: {lock.python!r} and restore it there.",
        )


def _strays(lock: Lock) -> list[str]:
    """Return what cannot be fetched again."""
    return [one.name for one in lock.packages if one.origin == "unproven"] + [one.path for one in lock.orphans]


def _check_files(lock: Lock) -> None:
    if strays := _strays(lock):
        more = f" and {len(strays) - _NAMED} more" if len(strays) > _NAMED else ""
        raise Conflict(
            "environment-not-portable",
            f"It holds what no index delivered, so nobody else can have it: {', '.join(strays[:_NAMED])}{more}.",
            hint="Where it ran, install these from the index; or name packages instead of the hash.",
        )
