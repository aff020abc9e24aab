"""What administrators see of the disk, and how they release some of it without a session."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.disk import DiskPart, DiskUsage, Freeable, FreedSpace, FreeSpace, WorkspaceSize
from studiolo.contract.models import WorkspaceRef
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.measuring import measure
from studiolo.kit.repeat import repeat
from studiolo.server.audit.service import Audit
from studiolo.server.disk import queries
from studiolo.server.disk.places import PLACES, find, release
from studiolo.server.disk.rooms import Rooms
from studiolo.server.disk.watch import DiskWatch
from studiolo.server.principal import Principal
from studiolo.server.settings import Settings
from studiolo.server.workspaces.allowance import foresee_resources
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.trash import Trash

_LOOK_SECONDS = 5.0
_LARGEST = 10
# Ten thousand workspaces are measured in some eight hours, a handful of them at once.
_EVERY_SECONDS = 60.0
_AT_ONCE = 20
_FRESH = timedelta(hours=1)
_MEASURED = "Sizes of workspaces are measured, not enforced: that takes accounts and a file system with project quotas."
_HELD = "Sizes of workspaces are held by the file system's quotas."


class Disk:
    """Measures, and releases what can be made again.

    `on_changed`: gets the sizes in bytes of workspaces that were another before, and when they were measured.
    """

    def __init__(
        self,
        settings: Settings,
        db: Database,
        clock: Clock,
        audit: Audit,
        folders: Folders,
        trash: Trash,
        watch: DiskWatch,
    ) -> None:
        self._settings = settings
        self._data_dir = settings.data_dir
        self._db = db
        self._clock = clock
        self._audit = audit
        self._folders = folders
        self._trash = trash
        self.watch = watch
        self.rooms = Rooms(db)
        self.on_changed: Callable[[AsyncConnection, Mapping[str, int], datetime], Awaitable[None]] = _tell_nobody

    async def usage(self, who: Principal) -> DiskUsage:
        """Return what fills the disk; looks for some seconds at most. Raises Denied."""
        who.require("disk.read")
        async with self._db.read() as connection:
            largest = await queries.list_largest(connection, _LARGEST)
        parts, measured = await asyncio.to_thread(self._measure)
        space = self.watch.space()
        is_held = self._settings.local.accounts == "on" and self._folders.quotas.is_enforced
        return DiskUsage(
            total=space.total,
            free=space.free,
            is_nearly_full=space.is_nearly_full,
            parts=parts,
            largest=[
                WorkspaceSize(
                    workspace=WorkspaceRef(id=row["id"], name=row["name"], owner=row["owner_name"]),
                    size=row["size"],
                    measured_at=row["measured_at"],
                )
                for row in largest
            ],
            measured=measured,
            limits=_HELD if is_held else _MEASURED,
        )

    async def free(self, who: Principal, form: FreeSpace) -> FreedSpace:
        """Release what is asked for. Raises Denied. Works on a full disk; what was kept back is given up first."""
        who.require("disk.free")
        await self.watch.look()
        async with self._db.write() as tx:
            await self._audit.record(tx, who, "disk.free", ", ".join(form.what), what=list(form.what))
        freed: dict[Freeable, int] = {}
        for place in PLACES:
            if place.free_as in form.what:
                freed[place.free_as] = await asyncio.to_thread(release, self._data_dir, place)
        if "trash" in form.what:
            before = self.watch.space().free
            await self._trash.erase_everything(who)
            freed["trash"] = max(0, self.watch.space().free - before)
        return FreedSpace(freed=freed, free=self.watch.space().free)

    async def measure_forever(self) -> None:
        """Measure some workspaces each minute, those first that nobody has looked at for longest."""
        await repeat(self.measure_some, every_seconds=_EVERY_SECONDS, failed="workspaces-not-measured")

    async def measure_some(self) -> int:
        """Measure up to twenty workspaces, and have them held to their disk size where that can be; return how many."""
        now = self._clock.now()
        async with self._db.read() as connection:
            rows = await queries.list_to_measure(connection, now - _FRESH, _AT_ONCE)
        sizes: dict[str, int | None] = {}
        for row in rows:
            sizes[row["id"]] = await asyncio.to_thread(self._measure_one, row)
        async with self._db.write(durable=False) as tx:
            known = await queries.list_sizes(tx.connection, sizes)
            await queries.write_sizes(tx.connection, sizes, now)
            changed = {name: size for name, size in sizes.items() if size is not None and size != known.get(name)}
            await self.on_changed(tx.connection, changed, now)
        return len(sizes)

    def _measure_one(self, row: RowMapping) -> int | None:
        folder = self._folders.of(row["id"], row["root"])
        config = row["config"] or {}
        most = foresee_resources(config.get("profile"), config.get("resources"), self._settings.resources).disk
        held = self._folders.quotas.hold(folder, most)
        return self._folders.measure(folder) if held is None else held

    def _measure(self) -> tuple[list[DiskPart], bool]:
        until, whole, parts = time.monotonic() + _LOOK_SECONDS, True, []
        for place in PLACES:
            size, seen = measure(find(self._data_dir, place), until)
            whole &= seen
            parts.append(DiskPart(name=place.name, size=size, words=place.words, free_as=place.free_as))
        return parts, whole


async def _tell_nobody(connection: AsyncConnection, sizes: Mapping[str, int], at: datetime) -> None:
    pass
