"""The runner of level-triggered reconcilers: one step at a time per key, hints, back-off, shutdown."""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta

import structlog

_log = structlog.get_logger(__name__)
_FIRST_BACK_OFF_SECONDS = 0.2
_LONGEST_BACK_OFF_SECONDS = 30.0
_CLOSE_SECONDS = 2.0


class Runner:
    """Calls `step(key)` for every key that is due, never twice at once for the same key.

    `step` looks at what is wanted and what is, does one thing, and returns how long to wait before looking
    again (None: until hinted or swept). `due` lists the keys to look at when starting and at each sweep: a
    missed hint costs time, never truth. A step that raises is tried again with back-off.

    `lane`: keys of one lane share `concurrency` steps at once, so that steps which hang hold up their own lane alone.
    """

    def __init__(
        self,
        name: str,
        *,
        step: Callable[[str], Awaitable[timedelta | None]],
        due: Callable[[], Awaitable[Iterable[str]]],
        sweep_every: timedelta = timedelta(seconds=20),
        concurrency: int = 32,
        lane: Callable[[str], str] = lambda key: "",
    ) -> None:
        self._name = name
        self._step = step
        self._due = due
        self._sweep_seconds = sweep_every.total_seconds()
        self._lane = lane
        self._slots: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(concurrency))
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._hinted: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._is_running = False
        self._look = asyncio.Event()

    def hint(self, key: str) -> None:
        """Look at `key` soon; if a step is under way, once more after it. Nothing happens unless `run` runs."""
        if not self._is_running:
            return
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._tasks:
            self._hinted.add(key)
            return
        self._tasks[key] = asyncio.create_task(self._run(key), name=f"{self._name}:{key}")

    def look(self) -> None:
        """Sweep now: another process may have changed what is wanted."""
        self._look.set()

    async def run(self) -> None:
        """Sweep until cancelled; then wait briefly for steps under way."""
        self._is_running = True
        try:
            while True:
                self._look.clear()
                try:
                    for key in await self._due():
                        self.hint(key)
                except Exception:
                    _log.exception("sweep-failed", reconciler=self._name)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._sweep_seconds):
                        await self._look.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop: no new steps; those under way get a moment, then are cancelled, which is safe at every point."""
        self._is_running = False
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: str) -> None:
        delay: float | None
        try:
            async with self._slots[self._lane(key)]:
                wait = await self._step(key)
            self._failures.pop(key, None)
            delay = None if wait is None else wait.total_seconds()
        except Exception:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            longest = min(_FIRST_BACK_OFF_SECONDS * 2**failures, _LONGEST_BACK_OFF_SECONDS)
            # Jitter, so that what failed together is not tried again together.
            delay = longest * random.uniform(0.5, 1)  # noqa: S311
            _log.exception("step-failed", reconciler=self._name, key=key, failures=failures)
        finally:
            self._tasks.pop(key, None)
        if not self._is_running:
            return
        if key in self._hinted:
            self._hinted.discard(key)
            self.hint(key)
        elif delay is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(delay, self._wake, key)

    def _wake(self, key: str) -> None:
        self._timers.pop(key, None)
        self.hint(key)


@contextlib.asynccontextmanager
async def running(*runners: Runner) -> AsyncIterator[None]:
    """Run reconcilers for the length of a block."""
    tasks = [asyncio.create_task(runner.run()) for runner in runners]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
