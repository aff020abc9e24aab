"""Where a workspace's files lie on each engine: its folder here if storage is shared, else the engine's place."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.engines.base import Store, StoredPlace, Stores
from studiolo.engines.carrying import folder_store
from studiolo.kit.clock import Clock
from studiolo.server.engines.engines import Engines
from studiolo.server.workspaces.folders import Folders


class MovingPlaces:
    """Opens and empties them. Only workspaces in the platform's own place move: a folder of the machine is not ours."""

    def __init__(self, engines: Engines, folders: Folders, clock: Clock) -> None:
        self._engines = engines
        self._folders = folders
        self._clock = clock

    def is_shared(self, engine: str) -> bool:
        """Tell whether an engine uses the workspace's folder here; raises as `check`."""
        self.check(engine)
        return self._engines[engine].storage == "shared"

    def check(self, engine: str) -> None:
        """Raise unless files can be had from an engine.

        Unavailable (`engine-unavailable`) for one that is not there any more, InvalidInput (`engine-storage`) for one
        that hands none over.
        """
        if engine not in self._engines:
            raise Unavailable(
                "engine-unavailable",
                f"The engine {engine}, which has the workspace's files, is not among this platform's any more.",
                hint=f"An administrator can put its table [engines.{engine}] back into the settings.",
            )
        if self._engines[engine].storage == "own" and not isinstance(self._engines[engine], Stores):
            raise InvalidInput(
                "engine-storage",
                f"The engine {engine} keeps files itself and has no way to hand them over.",
                hint="Download them in a session, create a workspace on the other engine, and upload them there.",
            )

    @asynccontextmanager
    async def open(
        self, engine: str, workspace_id: str, place: StoredPlace, *, anew: bool = False
    ) -> AsyncGenerator[Store]:
        """Open the workspace's files on an engine; `anew`: without those that lie there already."""
        self.check(engine)
        found = self._engines[engine]
        if isinstance(found, Stores) and found.storage == "own":
            async with found.open_store(place) as store:
                if anew:
                    await store.clear()
                yield store
            return
        if anew:
            await asyncio.to_thread(self._put_aside, workspace_id, place.folder)
        await asyncio.to_thread(_make, place.folder)
        yield folder_store(place.folder)

    async def empty(self, engine: str, workspace_id: str, place: StoredPlace) -> None:
        """Remove the workspace's files from an engine; those here are put aside, and erased after the trash's time."""
        self.check(engine)
        found = self._engines[engine]
        if isinstance(found, Stores) and found.storage == "own":
            await found.forget_store(place)
        else:
            await asyncio.to_thread(self._put_aside, workspace_id, place.folder)

    def _put_aside(self, workspace_id: str, folder: Path) -> None:
        if not folder.is_dir() or not any(folder.iterdir()):
            return
        was = folder.stat()
        self._folders.discard_files(workspace_id, self._clock.now())
        _make(folder)
        folder.chmod(was.st_mode & 0o7777)
        if os.geteuid() == 0:
            os.chown(folder, was.st_uid, was.st_gid)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
