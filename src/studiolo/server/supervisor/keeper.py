"""Keeps one part running: starts it, waits until it is ready, starts it again when it ends."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.kit import logs
from studiolo.kit.notify import VARIABLE, NotifyReceiver
from studiolo.server.supervisor.children import Child, Children
from studiolo.server.supervisor.parts import Part

logger = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
_SHOWN_LINES = 12


class Keeper:
    """Runs `keep` as a task; cancelling it ends the part. `ready` is set while the part serves."""

    def __init__(
        self, part: Part, children: Children, *, log: Path, run_dir: Path, started: Callable[[], None]
    ) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self.pid: int | None = None
        self._children = children
        self._log = log
        self._notify_path = run_dir / f"notify.{part.name}.sock"
        self._started = started
        self._log_start = 0

    async def keep(self) -> None:
        """Never returns. Raises Unavailable (`part-failed`) if the first start of all fails."""
        delay, loop = FIRST_DELAY_SECONDS, asyncio.get_running_loop()
        was_ready = False
        while True:
            began = loop.time()
            try:
                code = await self._run_once()
                was_ready = True
                what = describe_exit(code)
            except Unavailable as exc:
                if not was_ready:
                    raise
                what = exc.message
            if loop.time() - began > HEALTHY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            logger.warning("The %s %s; it starts again in %.1f s.", self.part.title, what, delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    async def _run_once(self) -> int:
        """Start it, wait until it is ready and then until it ends; return its exit code."""
        with NotifyReceiver(self._notify_path) as notify:
            child = self._start()
            try:
                await self._until_ready(child, notify)
                self.ready.set()
                return await asyncio.shield(child.exited)
            finally:
                self.ready.clear()
                self.pid = None
                await child.end(self.part.stop_seconds)

    def _start(self) -> Child:
        env = {**self.part.env, VARIABLE: str(self._notify_path)}
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        try:
            child = self._children.start(self.part.argv, env=env, log=self._log)
        except OSError as exc:
            raise self._failed(f"cannot be started: {exc.strerror}") from exc
        self.pid = child.pid
        self._started()
        return child

    async def _until_ready(self, child: Child, notify: NotifyReceiver) -> None:
        reading = asyncio.create_task(_hear_ready(notify))
        either: list[asyncio.Future[Any]] = [reading, child.exited]
        try:
            await asyncio.wait(either, timeout=self.part.start_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
        if child.exited.done():
            raise self._failed(describe_exit(child.exited.result()))
        if not reading.done():
            raise self._failed(f"was not ready within {self.part.start_seconds:.0f} s")

    def _failed(self, what: str) -> Unavailable:
        lines = logs.tail(self._log, _SHOWN_LINES, since=self._log_start)
        return Unavailable(
            "part-failed",
            f"The {self.part.title} {what}. Its log is {self._log}"
            + (", which ends:\n  " + "\n  ".join(lines) if lines else "."),
            hint="studiolo doctor",
        )


def describe_exit(code: int) -> str:
    """Return how a process ended, as the end of a sentence."""
    return f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"


async def _hear_ready(notify: NotifyReceiver) -> None:
    while (await notify.receive()).get("READY") != "1":
        pass
