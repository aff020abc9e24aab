"""How full the disk is, looked at every few seconds, so that nobody learns of a full one by a loss."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from studiolo.contract.lab import Notice
from studiolo.contract.sizes import used_of
from studiolo.kit.ballast import Ballast
from studiolo.kit.repeat import repeat

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 5.0
NEARLY_FULL = 0.9
# Below this the database may be the next that cannot write: what was kept back is given up.
_TOO_LITTLE = 16 << 20


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of a file system: `free` for us, not what it keeps for its own account."""

    total: int
    free: int

    @property
    def is_nearly_full(self) -> bool:
        """Whether people should hear of it."""
        return self.free < (1 - NEARLY_FULL) * self.total

    @property
    def words(self) -> str:
        """`91 of 100 GiB`."""
        return used_of(self.total - self.free, self.total)


def space_of(folder: Path) -> Space:
    """Return what there is on a folder's file system; takes microseconds. Raises OSError."""
    found = shutil.disk_usage(folder)
    return Space(found.used + found.free, found.free)


class DiskWatch:
    """Knows how much is free. `on_change` is called when the disk becomes nearly full, or has room again."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._ballast = Ballast(data_dir / "ballast")
        self._was_nearly_full = False
        self.on_change: Callable[[], None] = lambda: None

    def space(self) -> Space:
        """Return what there is now; takes microseconds."""
        return space_of(self._data_dir)

    async def look_forever(self) -> None:
        """Look every few seconds."""
        await repeat(self.look, every_seconds=_EVERY_SECONDS, failed="disk-not-looked-at")

    async def look(self) -> None:
        """Look once: keep bytes back while there are plenty, give them up when there are none."""
        space = self.space()
        if space.free < _TOO_LITTLE:
            if await asyncio.to_thread(self._ballast.give_up):
                _log.warning("disk-full", space=space.words)
        else:
            await asyncio.to_thread(self._ballast.take_in)
        if space.is_nearly_full is not self._was_nearly_full:
            self._was_nearly_full = space.is_nearly_full
            _log.warning("disk-nearly-full" if space.is_nearly_full else "disk-has-room", space=space.words)
            self.on_change()

    async def notices(self, row: object) -> list[Notice]:
        """Return what everybody in JupyterLab should know (a source of `sessions.here`)."""
        space = self.space()
        if not space.is_nearly_full:
            return []
        text = f"The platform's disk is nearly full: {space.words}. Delete what you no longer need."
        return [Notice(id="disk", level="warning", text=text)]
