"""Files that the platform made for a workspace, brought to where the workspace's engine keeps its files."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict
from studiolo.engines.base import Store, StoredPlace
from studiolo.engines.carrying import folder_store
from studiolo.kit.db import Database
from studiolo.server.engines.engines import Engines
from studiolo.server.moves import queries
from studiolo.server.moves.copying import Copied, copy_store
from studiolo.server.moves.places import MovingPlaces
from studiolo.server.workspaces import queries as workspace_queries
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.register import Register, config_of

# Where what is brought lies until it is whole, at both ends: among a workspace's files, and out of people's sight.
AWAY = ".studiolo/parts/bringing"


class Bringing:
    """Brings folders to engines whose storage is their own."""

    def __init__(
        self, db: Database, engines: Engines, register: Register, places: MovingPlaces, folders: Folders
    ) -> None:
        self._db = db
        self._engines = engines
        self._register = register
        self._places = places
        self._folders = folders

    def is_needed(self, row: RowMapping) -> bool:
        """Tell whether a workspace's files are elsewhere. Raises as MovingPlaces.is_shared."""
        return not self._places.is_shared(self._engine(row))

    async def check(self, connection: AsyncConnection, row: RowMapping) -> None:
        """Raise Conflict (`workspace-busy`, `workspace-moving`) while the files cannot be opened."""
        await self._register.check_quiet(connection, row, remedy="none running")
        await queries.check_still(connection, row["id"])

    async def bring(self, row: RowMapping, source: Path, name: str, tell: Callable[[int], None]) -> None:
        """Copy what `source` has at AWAY to the name `name`, each file checked, or nothing of it.

        It comes to have its name when all of it is there: sessions may have started meanwhile, and what is under that
        name then is theirs. `tell` gets the percentage done.

        Raises Conflict (`clone-exists`), and what opening and copying raise (see Stores and copy_store).
        """

        async def count(done: Copied) -> None:
            tell(100 * done.files_done // max(done.files_total, 1))

        async with self._places.open(self._engine(row), row["id"], await self._place(row)) as store:
            await _check_free(store, name, row)
            # Of a bringing that was killed.
            await store.remove(AWAY)
            try:
                await copy_store(folder_store(source), store, count)
                await _check_free(store, name, row)
                await store.rename(AWAY, name)
            except BaseException:
                await asyncio.shield(store.remove(AWAY))
                raise

    def _engine(self, row: RowMapping) -> str:
        return config_of(row).engine or self._engines.default

    async def _place(self, row: RowMapping) -> StoredPlace:
        """Return whose files are meant: a workspace that moved is kept for whoever owned it then."""
        async with self._db.read() as connection:
            move = await queries.find(connection, row["id"])
            owner = await workspace_queries.find_person_name(connection, row["owner_id"]) or ""
        person = move["person"] if move is not None and move["goes"] == self._engine(row) else owner
        return StoredPlace(self._folders.of(row["id"], row["root"]), row["name"], person)


async def _check_free(store: Store, name: str, row: RowMapping) -> None:
    if await _has(store, name):
        raise Conflict(
            "clone-exists",
            f"{row['name']!r} has a {name!r} already.",
            hint="Rename or delete it, or pull in it from a terminal.",
        )


async def _has(store: Store, name: str) -> bool:
    async for entry in store.list_entries():
        if entry.path == name:
            return True
    return False
