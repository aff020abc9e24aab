"""Containers that wait for launches: made ahead, their servers rehearsed, claimed by the next launch of their kind.

A waiting container runs nothing of anybody's and has nothing of a workspace. What a launch has besides is mounted into
it when it is claimed, which takes root on this machine; then it is that launch's for good, by name too. Whatever goes
wrong before it was told, the launch gets a container that is made for it, as without a pool.
"""

import asyncio
import contextlib
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from aiodocker import Docker

from studiolo.contract.errors import Unavailable
from studiolo.engines.container import owners
from studiolo.engines.container.claiming import NotTakenError, Waiting, follow, hand_over
from studiolo.engines.container.configuration import WAITING, Mount
from studiolo.engines.container.daemon import Daemon, RefusedError
from studiolo.engines.container.launches import Launch
from studiolo.engines.container.waiting import Kind, LaunchedKinds, Place, waiting_config

# Launches come in bursts, and each has the processors to itself for so long before a container is made ahead again.
_QUIET_SECONDS = 2.0
_AFTER_FAILURE_SECONDS = 60.0
_READY_SECONDS = 120.0
_READY_POLL_SECONDS = 0.1
_END_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Pool:
    """Keeps `count` containers of each kind that was launched lately. `patience`: seconds that a launch waits for one.

    `folder`: private, short; `common`: what all containers have.
    """

    patience = 0.0

    def __init__(
        self,
        daemon: Daemon,
        count: int,
        kinds: LaunchedKinds,
        *,
        folder: Path,
        instance: str,
        common: Callable[[Place, Kind], list[Mount]],
    ) -> None:
        self._daemon = daemon
        self._count = count
        self._folder = folder
        self._instance = instance
        self._common = common
        self._kinds = kinds
        self._is_loaded = False
        self._waiting: dict[str, list[Waiting]] = {}
        # By container: all places that are ours and no launch's.
        self._places: dict[str, Place] = {}
        self._made = asyncio.Condition()
        self._quiet_until = 0.0
        self._filling: asyncio.Task[None] | None = None
        self._following: set[asyncio.Task[None]] = set()

    async def claim(self, launch: Launch, name: str, config: Mapping[str, Any]) -> bool:
        """Have a container that waits become the launch's, named `name`; False when none could.

        `config`: what would be created for the launch, whose files are there.
        """
        if not self._count or (kind := Kind.of(config, launch.cover)) is None:
            return False
        key = kind.key
        self._want(kind)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.patience), self._made:
                await self._made.wait_for(lambda: self._waiting.get(key))
        while waiting := self._waiting.get(key):
            one = waiting.pop(0)
            try:
                gate = await hand_over(self._daemon, one, launch, name, config)
            except (OSError, NotTakenError, RefusedError) as exc:
                _log.warning("a waiting container could not be claimed: %s", exc)
                await self._discard(name, one.name)
                continue
            except BaseException:
                # It ends by itself, and the next sweep removes it.
                self._places.pop(one.name, None)
                raise
            self._places.pop(one.name, None)
            self._want(kind)
            task = asyncio.create_task(follow(self._daemon, gate, name))
            self._following.add(task)
            task.add_done_callback(self._following.discard)
            return True
        return False

    async def sweep(self, listed: Iterable[Mapping[str, Any]]) -> None:
        """Remove what nobody knows any more: containers of a control plane before us, places of those that are gone.

        `listed`: all of ours, as they are at this moment. The first time, what was launched before is made ready again.
        """
        if self._count and not self._is_loaded:
            self._is_loaded = True
            await asyncio.to_thread(self._kinds.load)
            self._go_on()
        used = {place.folder.name for place in self._places.values()}
        # A place that a container has is its own to its end, else the folders mounted there would go with it.
        labels = [(container.get("Labels") or {}).get(WAITING) for container in listed]
        free = [folder for folder in self._folder.glob("*") if folder.name not in used.union(filter(None, labels))]
        strangers = [self._name(place) for place in labels if place is not None and place not in used]
        # Of those that were claimed nothing has that name any more.
        await asyncio.gather(*map(self._daemon.remove, strangers))
        for folder in free:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def aclose(self) -> None:
        """Remove all that wait."""
        tasks = [*self._following, *([self._filling] if self._filling else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await asyncio.gather(*map(self._discard, list(self._places)))

    def _want(self, kind: Kind) -> None:
        """Have containers of this kind made, once launches leave time for it."""
        self._quiet_until = time.monotonic() + (0 if self.patience else _QUIET_SECONDS)
        self._kinds.note(kind)
        self._go_on()

    def _go_on(self) -> None:
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        """Remove what is too much, and make what is missing, one after the other."""
        while True:
            if (pause := self._quiet_until - time.monotonic()) > 0:
                await asyncio.sleep(pause)
                continue
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._kinds.save)
            for key in self._waiting.keys() - {kind.key for kind in self._kinds}:
                await self._discard(*(one.name for one in self._waiting.pop(key)))
            short = (kind for kind in self._kinds if len(self._waiting.get(kind.key, [])) < self._count)
            if (kind := next(short, None)) is None:
                return
            try:
                made = await self._make(kind)
            except (OSError, NotTakenError, RefusedError, Unavailable) as exc:
                _log.warning("no container can be made ahead: %s", exc)
                # The next launch of its kind has it tried again.
                self._kinds.drop(kind)
                self._quiet_until = time.monotonic() + _AFTER_FAILURE_SECONDS
                continue
            async with self._made:
                self._waiting.setdefault(kind.key, []).append(made)
                self._made.notify_all()

    async def _make(self, kind: Kind) -> Waiting:
        place = Place(self._folder / f"x{secrets.token_hex(4)}")
        name = self._name(place.folder.name)
        self._places[name] = place
        try:
            mounts = await asyncio.to_thread(self._prepare, place, kind)
            config = waiting_config(kind, self._instance, place, mounts)

            async def begin(docker: Docker) -> None:
                await (await docker.containers.create(config, name=name)).start()

            await self._daemon.ask(begin, seconds=_READY_SECONDS)
            deadline = time.monotonic() + _READY_SECONDS
            while not place.gate.exists():
                if time.monotonic() > deadline:
                    raise NotTakenError(f"it was not ready within {_READY_SECONDS:g} s")
                await asyncio.sleep(_READY_POLL_SECONDS)
        except BaseException:
            await self._discard(name)
            raise
        return Waiting(name, place, mounts)

    def _prepare(self, place: Place, kind: Kind) -> list[Mount]:
        place.gate.parent.mkdir(mode=0o700, parents=True)
        user, group = map(int, kind.body["User"].split(":"))
        owners.give(place.gate.parent, (user, group))
        return self._common(place, kind)

    async def _discard(self, *names: str) -> None:
        for name in names:
            with contextlib.suppress(Unavailable):
                await self._daemon.remove(name)
            if (place := self._places.pop(name, None)) is not None:
                await asyncio.to_thread(shutil.rmtree, place.folder, ignore_errors=True)

    def _name(self, place: str) -> str:
        # No launch's: that would end with a number.
        return f"studiolo-{self._instance}-waiting-{place}"
