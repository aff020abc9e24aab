"""How much of its disk size a workspace uses, told before it is all: sizes are measured now and then, see `service`."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping

from studiolo.contract.lab import Notice
from studiolo.contract.models import Workspace
from studiolo.contract.resources import Resources
from studiolo.contract.sizes import used_of
from studiolo.kit.db import Database
from studiolo.server.disk import queries

# Pages tell of it early, where people look now and then; JupyterLab later, where it is in the way.
_FILLING, _NEARLY_FULL = 0.8, 0.9


@dataclass(frozen=True, slots=True)
class Room:
    """What a workspace's files use of its size; bytes."""

    used: int
    limit: int

    @property
    def words(self) -> str:
        """`19 of 20 GiB`."""
        return used_of(self.used, self.limit)


class Rooms:
    """Knows how full workspaces are, of those that have a size."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def list_filling(self, workspaces: Sequence[Workspace]) -> list[tuple[Workspace, Room]]:
        """Return those of some workspaces, which the caller may see, that use over 80 % of their size."""
        limits = {one.id: one.resources.disk for one in workspaces if one.resources.disk}
        if not limits:
            return []
        async with self._db.read() as connection:
            sizes = await queries.list_sizes(connection, limits)
        rooms = [(one, Room(sizes[one.id], limits[one.id] or 0)) for one in workspaces if one.id in sizes]
        return [(one, room) for one, room in rooms if room.used >= _FILLING * room.limit]

    async def notices(self, row: RowMapping) -> list[Notice]:
        """Return what people in a session should know (a source of `sessions.here`); `row`: the session."""
        limit = Resources.model_validate((row["allowed"] or {}).get("resources") or {}).disk
        if not limit:
            return []
        async with self._db.read() as connection:
            used = (await queries.list_sizes(connection, [row["workspace_id"]])).get(row["workspace_id"], 0)
        if used < _NEARLY_FULL * limit:
            return []
        text = f"The files of this workspace use {used_of(used, limit)}. Delete what you no longer need."
        return [Notice(id="workspace-disk", level="warning", text=text)]
