"""Bringing planned containers to life: fetch the image, make the container, start it. Each step can be repeated.

A plan lies on disk until its container has begun, so that a control plane that is started anew goes on with it.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from aiodocker import Docker

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Exit, Observation, Phase
from studiolo.engines.container.configuration import WAITING
from studiolo.engines.container.daemon import NOT_FOUND, Daemon, RefusedError
from studiolo.engines.container.launches import Launch
from studiolo.engines.container.pool import Pool
from studiolo.engines.container.pulling import pull

_BEGIN_SECONDS = 60.0
_log = logging.getLogger(__name__)


class Launching:
    """Runs one task for each launch whose container has not begun."""

    def __init__(self, daemon: Daemon, pool: Pool) -> None:
        self._daemon = daemon
        self._pool = pool
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._words: dict[str, str] = {}

    def go_on(self, launch: Launch, name: str) -> asyncio.Task[None]:
        """Return the task that begins the planned container `name`; one that failed is begun again.

        Raises nothing itself. The task raises Unavailable; what cannot be mended is kept as the launch's end.
        """
        task = self._tasks.get(launch.name)
        if task is None or task.done():
            task = self._tasks[launch.name] = asyncio.create_task(self._begin(launch, name))
            task.add_done_callback(lambda done: self._note(launch.name, done))
        return task

    def observe(self, launch: Launch, name: str) -> Observation:
        """Say how far a planned container is, and see that it gets further."""
        task = self._tasks.get(launch.name)
        failed = task.exception() if task is not None and task.done() and not task.cancelled() else None
        self.go_on(launch, name)
        if isinstance(failed, Unavailable):
            return Observation(Phase.UNKNOWN, message=failed.message)
        word = self._words.get(launch.name)
        return Observation(Phase.PENDING, message=word) if word else Observation(Phase.STARTING)

    async def cancel(self, launch: Launch) -> None:
        """Give a plan up; what was begun meanwhile is the caller's to end."""
        if (task := self._tasks.pop(launch.name, None)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._words.pop(launch.name, None)
        launch.plan.unlink(missing_ok=True)

    async def aclose(self) -> None:
        """Let go of all tasks; their plans stay."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _begin(self, launch: Launch, name: str) -> None:
        plan = launch.read_plan()
        if plan is None:
            return
        image = str(plan["image"])
        try:
            if plan["pull"]:
                await self._pull(launch, name, image)
        except RefusedError as exc:
            launch.keep_end(_image_missing(image, exc))
        else:
            try:
                if not await self._pool.claim(launch, name, plan["config"]):
                    await self._create(name, plan["config"])
            except RefusedError as exc:
                is_missing = exc.status == NOT_FOUND
                launch.keep_end(_image_missing(image, exc) if is_missing else _cannot_start(exc))
        launch.note_begun()
        self._words.pop(launch.name, None)
        self._daemon.tell(name)

    async def _pull(self, launch: Launch, name: str, image: str) -> None:
        await pull(self._daemon, image, lambda word: self._say(launch, name, word))

    async def _create(self, name: str, config: dict[str, Any]) -> None:
        """Make and start the container; one that is there already, made by an earlier try, is only started."""

        async def create(docker: Docker) -> None:
            await docker.containers.create(config, name=name)

        async def start(docker: Docker) -> None:
            await docker.containers.container(name).start()

        try:
            await self._daemon.ask(create, seconds=_BEGIN_SECONDS)
        except RefusedError:
            # Daemons tell in different ways that the name is taken.
            if (found := await self._daemon.find(name)) is None:
                raise
            if found["Config"]["Labels"].get(WAITING):
                # It was claimed when we went down, and never told whose it is.
                await self._daemon.remove(name)
                await self._daemon.ask(create, seconds=_BEGIN_SECONDS)
        await self._daemon.ask(start, seconds=_BEGIN_SECONDS)

    def _say(self, launch: Launch, name: str, word: str) -> None:
        self._words[launch.name] = word
        self._daemon.tell(name)

    def _note(self, name: str, task: asyncio.Task[None]) -> None:
        """Forget a task that has done its work; one that has failed is looked at by whoever observes."""
        if not task.cancelled() and (failed := task.exception()) is not None:
            _log.warning("a container could not be begun: %s", failed, exc_info=failed)
        elif self._tasks.get(name) is task:
            del self._tasks[name]


def _image_missing(image: str, error: RefusedError) -> Exit:
    return Exit("image-missing", f"The image {image} cannot be had: {_sentence(error)}", datetime.now(UTC))


def _cannot_start(error: RefusedError) -> Exit:
    return Exit("never-ready", f"The container cannot be started: {_sentence(error)}", datetime.now(UTC))


def _sentence(error: RefusedError) -> str:
    return f"{str(error).strip().rstrip('.')[:500]}."
