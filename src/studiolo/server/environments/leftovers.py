"""What builds leave behind: out of the way at once, removed when nobody waits for the disk."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from studiolo.kit.modesty import be_modest
from studiolo.server.environments.stage import list_aside, put_aside, remove_aside

_log = structlog.get_logger(__name__)
# Whoever installs twice in a row has the disk for that.
_QUIET_SECONDS = 5.0
# Each may be as large as an environment: from so many on, whoever makes one more removes it, too.
_MOST_ASIDE = 4


class Leftovers:
    """Puts folders of `place` aside, and has another process remove them; what a killed platform left, too.

    `after`: awaited before each removal, for what comes first.
    """

    def __init__(self, place: Path, after: Callable[[], Awaitable[None]]) -> None:
        self._place = place
        self._after = after
        self._sweep: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def put_aside(self, folder: Path) -> None:
        """Have a folder's name free; success if nothing is there. Raises OSError."""
        aside = await asyncio.to_thread(put_aside, folder)
        if aside is not None and len(await asyncio.to_thread(list_aside, self._place)) > _MOST_ASIDE:
            await asyncio.to_thread(remove_aside, aside)
        self.sweep_soon()

    def sweep_soon(self) -> None:
        """Remove all that lies aside once nothing was put there for some seconds."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_QUIET_SECONDS, self._begin)

    async def close(self) -> None:
        """Stop; the rest is removed at the next start."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sweep is not None:
            self._sweep.cancel()
            await asyncio.gather(self._sweep, return_exceptions=True)

    def _begin(self) -> None:
        if self._sweep is not None and not self._sweep.done():
            # It takes what was put there meanwhile only if it comes by once more.
            self.sweep_soon()
            return
        self._sweep = asyncio.create_task(self._remove_all())

    async def _remove_all(self) -> None:
        await self._after()
        if not await asyncio.to_thread(list_aside, self._place):
            return
        # A process, since a thread would have this one's priority.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, str(self._place), stdin=DEVNULL, stdout=DEVNULL
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if code != 0:
            _log.warning("leftovers-not-removed", place=str(self._place), code=code)


def main() -> None:
    """Remove what lies aside in the folder that the command line names, asking for little."""
    be_modest()
    for folder in list_aside(Path(sys.argv[1])):
        remove_aside(folder)


if __name__ == "__main__":
    main()
