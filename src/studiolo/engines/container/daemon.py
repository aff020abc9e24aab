"""Asking the daemon: one client, bounded calls, errors in our words, and what it tells unasked."""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from studiolo.contract.errors import Unavailable
from studiolo.engines.container.measuring import Facts

NOT_FOUND = 404
T = TypeVar("T")

_USUAL_SOCKETS = ("/run/podman/podman.sock", "/run/docker.sock", "/var/run/docker.sock")
_USUAL_OWN_SOCKETS = ("podman/podman.sock", "docker.sock")
_OUTPUT_LINES = 200
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.25, 10.0
_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """The daemon answered that it will not do this; the text is its own. `status`: of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Daemon:
    """The daemon at `url` (None: the one that is found), whose calls take `seconds` at most."""

    def __init__(self, url: str | None, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._docker: Docker | None = None
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._listening: asyncio.Task[None] | None = None

    async def ask(self, call: Callable[[Docker], Awaitable[T]], *, seconds: float | None = None) -> T:
        """Return what `call` returns. Raises Unavailable (`engine-unavailable`), RefusedError."""
        try:
            async with asyncio.timeout(seconds or self._seconds):
                return await call(self._client())
        except DockerError as exc:
            # 900 is aiodocker's word for a daemon that cannot be connected to.
            if exc.status < 900:
                raise RefusedError(exc.status, exc.message) from exc
            raise _unavailable("cannot be reached", exc) from exc
        except TimeoutError as exc:
            raise _unavailable(f"has not answered within {seconds or self._seconds:g} s", exc) from exc
        except (OSError, aiohttp.ClientError, ValueError) as exc:
            raise _unavailable("cannot be reached", exc) from exc

    async def find(self, name: str) -> Mapping[str, Any] | None:
        """Return what the daemon says of a container, None when there is none. Raises Unavailable."""

        async def show(docker: Docker) -> Mapping[str, Any]:
            return await docker.containers.container(name).show()

        return await self._ask_for(show)

    async def has_image(self, name: str) -> bool:
        """Tell whether an image is here. Raises Unavailable."""
        return await self.find_image(name) is not None

    async def find_image(self, name: str) -> Mapping[str, Any] | None:
        """Return what the daemon says of an image, None when it is not here. Raises Unavailable."""
        return await self._ask_for(lambda docker: docker.images.inspect(name))

    async def read_facts(self) -> Facts:
        """Return what the daemon says of itself and of the machine. Raises Unavailable."""
        try:
            info = await self.ask(lambda docker: docker.system.info())
            return Facts.read(info, await self.ask(lambda docker: docker.version()))
        except RefusedError as exc:
            raise _unavailable("does not say what it is", exc) from exc

    async def read_stats(self, name: str) -> Mapping[str, Any] | None:
        """Return what a container uses now; None when it does not run. Raises Unavailable."""

        async def read(docker: Docker) -> list[dict[str, Any]]:
            return await docker.containers.container(name).stats(stream=False)

        try:
            return next(iter(await self.ask(read)), None)
        except RefusedError:
            return None

    async def read_output(self, name: str) -> list[str]:
        """Return what a container has printed, as far as the daemon keeps it."""

        async def read(docker: Docker) -> list[str]:
            return list(await docker.containers.container(name).log(stdout=True, stderr=True, tail=_OUTPUT_LINES))

        try:
            return await self.ask(read)
        except (RefusedError, Unavailable):
            return []

    async def list_labelled(self, label: str) -> list[Mapping[str, Any]]:
        """Return all containers with `label`, running or not: {Names, Labels, State, …}. Raises Unavailable."""
        filters = json.dumps({"label": [label]})

        async def listed(docker: Docker) -> list[Mapping[str, Any]]:
            return [found._container for found in await docker.containers.list(all=1, filters=filters)]

        try:
            return await self.ask(listed)
        except RefusedError as exc:
            raise _unavailable("does not list its containers", exc) from exc

    async def signal(self, name: str, number: str) -> None:
        """Send a signal to a container; nothing happens when it is gone or not running. Raises Unavailable."""
        with contextlib.suppress(RefusedError):
            await self.ask(lambda docker: docker.containers.container(name).kill(signal=number))

    async def remove(self, name: str) -> None:
        """Remove a container, killing what runs in it; nothing happens when there is none. Raises Unavailable."""

        async def delete(docker: Docker) -> None:
            await docker.containers.container(name).delete(force=True, v=True)

        with contextlib.suppress(RefusedError):
            await self.ask(delete)

    @contextlib.contextmanager
    def listen(self, name: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the daemon tells something of the container `name`; clear it yourself.

        A connection that was made anew counts for all: something may have been missed.
        """
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())
        event = asyncio.Event()
        self._waiting.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[name].discard(event)
            if not self._waiting[name]:
                del self._waiting[name]

    def tell(self, name: str | None = None) -> None:
        """Wake whoever listens for the container `name`; None: for any."""
        names = list(self._waiting) if name is None else [name]
        for event in (event for one in names for event in self._waiting.get(one, ())):
            event.set()

    async def aclose(self) -> None:
        """Let go of the connections."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._docker is not None:
            await self._docker.close()
            self._docker = None

    async def _ask_for(self, call: Callable[[Docker], Awaitable[T]]) -> T | None:
        try:
            return await self.ask(call)
        except RefusedError as exc:
            # Podman answers 500 for one that is removed while it is looked at.
            if exc.status == NOT_FOUND or "no such container" in str(exc):
                return None
            raise _unavailable(f"answered {exc.status}", exc) from exc

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async for name in self._events():
                    pause = _FIRST_PAUSE_SECONDS
                    self.tell(name)
            except (Unavailable, DockerError, OSError, aiohttp.ClientError, ValueError) as exc:
                _log.warning("lost the container daemon's events: %s", exc)
            self.tell()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE_SECONDS)

    async def _events(self) -> AsyncIterator[str | None]:
        """Yield None once we listen, then the name of each container that changes."""
        docker = self._client()
        events = docker.events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
        running = asyncio.create_task(docker.events.run(filters=json.dumps({"type": ["container"]})))
        try:
            yield None
            while (event := await events.get()) is not None:
                yield ((event.get("Actor") or {}).get("Attributes") or {}).get("name")
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _client(self) -> Docker:
        if self._docker is None:
            self._docker = Docker(url=self._url or find_socket(os.environ))
        return self._docker


def find_socket(variables: Mapping[str, str]) -> str:
    """Return where a daemon of this machine listens, as `unix:///path`. Raises Unavailable (`engine-unavailable`)."""
    if (named := variables.get("DOCKER_HOST", "")).startswith("unix://"):
        return named
    own = variables.get("XDG_RUNTIME_DIR")
    places = [Path(own) / name for name in _USUAL_OWN_SOCKETS] if own else []
    for place in [*places, *map(Path, _USUAL_SOCKETS)]:
        if place.is_socket():
            return f"unix://{place}"
    raise Unavailable(
        "engine-unavailable",
        "No daemon of containers was found on this machine.",
        hint="Start Podman's or Docker's, or name its socket: engines.container.url = \"unix:///path\".",
    )


def _unavailable(what: str, error: Exception) -> Unavailable:
    return Unavailable(
        "engine-unavailable",
        f"The daemon of containers {what}.",
        hint="Try again in a few seconds; `studiolo engines` tells whether it answers.",
        detail=str(error) or repr(error),
    )
