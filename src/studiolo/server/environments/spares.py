"""Spare clones of bases: made ahead of need, so that a workspace or a build has its copy by a rename."""

import asyncio
from pathlib import Path

import structlog

from studiolo.server.environments.clone import clone, spare_of, take

_log = structlog.get_logger(__name__)


class Spares:
    """Makes one spare of a base at a time, and hands it to whoever asks first."""

    def __init__(self) -> None:
        self._making: dict[Path, asyncio.Task[None]] = {}

    def prepare(self, base: Path) -> None:
        """Have a spare of a base made, unless there is one or it is being made."""
        task = self._making.get(base)
        if task is None or task.done():
            self._making[base] = asyncio.create_task(_make(base))

    async def take(self, base: Path, target: Path) -> bool:
        """Move the spare of a base to `target`; False when there is none, or somebody else was quicker.

        One that is half made is waited for: a second clone beside it would take the disk from both.
        """
        if task := self._making.get(base):
            await asyncio.wait({task})
        return await asyncio.to_thread(take, spare_of(base), target)

    async def settle(self) -> None:
        """Return once none is being made."""
        while tasks := [task for task in self._making.values() if not task.done()]:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Stop; what is half made is begun again when it is needed."""
        for task in self._making.values():
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)


async def _make(base: Path) -> None:
    try:
        await asyncio.to_thread(clone, base, spare_of(base))
    except OSError as exc:
        _log.warning("spare-environment-failed", message=str(exc))
