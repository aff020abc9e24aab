"""Recipes of environments, for where the platform's own cannot be mounted: see docs/decisions/014."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

from studiolo.kit.db import Database
from studiolo.packages.installed.lock import Lock, LockedPackage
from studiolo.runtime.recipes import Pin, Recipe
from studiolo.server.environments import queries
from studiolo.server.environments.client_wheel import NAME
from studiolo.server.packages.base_files import Hashes

# Names and versions are what files in an environment say, and go into a list of requirements.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
# A cluster keeps a launch in an object of a mebibyte at most.
_MOST_HASHES = 6000
_MOST_NAMES = 1000
_LONGEST_NAME = 100


class Recipes:
    """Finds what workspaces' environments are made of. `hashes`: of the files that bases are built from."""

    def __init__(self, db: Database, hashes: Callable[[], Awaitable[Hashes]]) -> None:
        self._db = db
        self._hashes = hashes

    async def find(self, workspace_id: str) -> Recipe | None:
        """Return the recipe of a workspace's live environment; None before there is one. Raises OSError."""
        async with self._db.read() as connection:
            live = await queries.find_live(connection, workspace_id)
        if live is None or not live["lock"]:
            return None
        return recipe_of(Lock.from_toml(live["lock"]), await self._hashes())


def recipe_of(lock: Lock, hashes: Hashes) -> Recipe:
    """Return what an environment elsewhere is made of."""
    known = [one for one in lock.packages if _is_known(one)]
    # Our own client comes from no index; what else nobody delivered is told.
    strays = [one.name for one in lock.packages if not _is_known(one) and (one.name, one.origin) != (NAME, "base")]
    base = [
        Pin(one.name, one.version, hashes.get((one.name, one.version), ())) for one in known if one.origin == "base"
    ]
    if sum(len(pin.hashes) for pin in base) > _MOST_HASHES:
        # The index lets its files through by their hashes all the same.
        base = [replace(pin, hashes=()) for pin in base]
    return Recipe(
        hash=lock.hash,
        python=lock.python,
        base=tuple(base),
        added=tuple(Pin(one.name, one.version, (one.sha256 or "",)) for one in known if one.origin == "delivered"),
        # Names that people gave to files are as long as they like.
        left_out=tuple(name[:_LONGEST_NAME] for name in (*strays, *(one.path for one in lock.orphans))[:_MOST_NAMES]),
    )


def _is_known(one: LockedPackage) -> bool:
    """Tell whether an index has it."""
    if one.ecosystem != "pypi" or not (_NAME.fullmatch(one.name) and _VERSION.fullmatch(one.version)):
        return False
    if one.origin == "base":
        return one.name != NAME
    return one.origin == "delivered" and bool(one.sha256)
