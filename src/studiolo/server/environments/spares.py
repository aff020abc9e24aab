"""Spare clones of bases: made ahead of need, so that a workspace or a build has its copy by a rename."""

import asyncio
from pathlib import Path

import structlog

from studiolo.server.environments.clone import clone, spares_of, take
from studiolo.server.environments.stage import is_ready

_log = structlog.get_logger(__name__)


class Spares:
    """Makes the spares of a base, one at a time, and hands them to whoever asks first."""

    def __init__(self) -> None:
        self._making: dict[Path, asyncio.Task[bool]] = {}

    def prepare(self, base: Path) -> None:
        """Have the spares of a base made that are missing, unless one is being made."""
        task = self._making.get(base)
        if task is None or task.done():
            self._making[base] = task = asyncio.create_task(_make(base))
            # Before whoever waits for this one: there is always one being made until there are enough.
            task.add_done_callback(lambda done: self._go_on(base, done))

    async def take(self, base: Path, target: Path) -> bool:
        """Move a spare of the base to `target`; False when there is none, or somebody else was quicker.

        One that is half made is waited for: a second clone beside it would take the disk from both.
        """
        if await asyncio.to_thread(_take_any, base, target):
            return True
        if task := self._making.get(base):
            await asyncio.wait({task})
        return await asyncio.to_thread(_take_any, base, target)

    async def settle(self) -> None:
        """Return once none is being made."""
        while tasks := [task for task in self._making.values() if not task.done()]:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Stop; what is half made is begun again when it is needed."""
        for task in self._making.values():
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    def _go_on(self, base: Path, done: "asyncio.Task[bool]") -> None:
        if not done.cancelled() and done.result():
            self.prepare(base)


async def _make(base: Path) -> bool:
    """Make one spare that is missing; return whether one was made."""
    missing = next((spare for spare in spares_of(base) if not is_ready(spare)), None)
    if missing is None:
        return False
    try:
        await asyncio.to_thread(clone, base, missing)
    except OSError as exc:
        _log.warning("spare-environment-failed", message=str(exc))
        return False
    return True


def _take_any(base: Path, target: Path) -> bool:
    return any(take(spare, target) for spare in spares_of(base))
