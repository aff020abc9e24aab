"""What engines last said of themselves, remembered, so that nobody waits for one that hangs."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from studiolo.contract.errors import StudioloError
from studiolo.engines.base import Engine, Machine, Measures
from studiolo.server.engines.calls import within

_log = structlog.get_logger(__name__)
# Longer than the pause between two looks at all engines: requests find an answer there.
REMEMBERED_SECONDS = 15.0
_PATIENCE_SECONDS = 1.0
_LONGEST_SECONDS = 30.0
UNKNOWN = Machine(cpu=None, memory=None, gpu=None, cpu_limits="none", memory_limits="none", process_limits="none")


@dataclass(frozen=True, slots=True)
class Told:
    """What an engine said. `message`: why it is not healthy. `at`: when it was asked; `answered_at`: when it answered.

    Times are the event loop's.
    """

    machine: Machine
    message: str | None
    at: float
    answered_at: float


class Health:
    """Asks engines to describe themselves, one question to each at a time."""

    def __init__(self, engines: Mapping[str, Engine], remembered_seconds: float) -> None:
        self._engines = engines
        self._remembered = remembered_seconds
        self._told: dict[str, Told] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def look(self, name: str) -> Told:
        """Return what an engine says or lately said; for one that failed at the last look nobody waits."""
        now, told = asyncio.get_running_loop().time(), self._told.get(name)
        if told is not None and now - told.at < self._remembered:
            return told
        if told is not None and told.message is not None and self._remembered:
            self._ask(name)
            return told
        return await self._answer(name)

    async def look_at_all(self) -> None:
        """Ask every engine now."""
        await asyncio.gather(*(self._answer(name) for name in self._engines))

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, name: str) -> Told:
        """Ask and wait a moment; an engine that needs longer is taken for away until its answer is there."""
        asking = self._ask(name)
        await asyncio.wait({asking}, timeout=_PATIENCE_SECONDS)
        if not asking.done():
            self._told[name] = _unanswered(name, self._told.get(name), asyncio.get_running_loop().time())
        return self._told[name]

    def _ask(self, name: str) -> asyncio.Task[None]:
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.create_task(self._describe(name), name=f"describe:{name}")
            asking.add_done_callback(lambda _: self._asking.pop(name, None))
        return asking

    async def _describe(self, name: str) -> None:
        engine, machine, message = self._engines[name], UNKNOWN, None
        try:
            if isinstance(engine, Measures):
                machine = await within(_LONGEST_SECONDS, name, engine.describe())
        except StudioloError as exc:
            message = exc.message
        except Exception as exc:
            _log.exception("engine-not-described", engine=name)
            message = (
                f"It failed when it was asked how it is ({type(exc).__name__}); the log of the platform says more."
            )
        now = asyncio.get_running_loop().time()
        self._told[name] = Told(machine, message, now, now)


def _unanswered(name: str, last: Told | None, now: float) -> Told:
    """Return what counts while an answer is awaited: what it said last, as well if that is not long ago."""
    message = f"The engine {name} did not answer within {_PATIENCE_SECONDS:g} s."
    if last is None:
        return Told(UNKNOWN, message, now, now - _LONGEST_SECONDS)
    is_recent = now - last.answered_at < _LONGEST_SECONDS
    return Told(last.machine, last.message if is_recent else message, now, last.answered_at)
