"""Asking for a launch: a request goes out on a connection, events come back on it until the launch ends."""

import asyncio
import json
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any, Literal

from studiolo.contract.errors import Unavailable
from studiolo.runtime.launch import LaunchRequest

StartMethod = Literal["auto", "fork", "spawn"]

# A fork server that is being restarted imports JupyterLab for about a second.
_FORK_SERVER_SECONDS = 3.0
_STARTED_SECONDS = 10.0
_RETRY_SECONDS = 0.05
_log = logging.getLogger(__name__)


class Events:
    """The events of one launch as they come. `closed` once shim and session have let go of the connection."""

    def __init__(self) -> None:
        self.count = 0
        self.closed = False
        self._news = asyncio.Event()

    async def follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read until the connection ends."""
        try:
            while await reader.readline():
                self._tell(closed=False)
        except (OSError, ValueError):
            _log.warning("lost the connection to a launch", exc_info=True)
        finally:
            self._tell(closed=True)
            writer.close()

    async def wait_beyond(self, count: int) -> None:
        """Return when more than `count` events have come or the connection has ended."""
        while self.count <= count and not self.closed:
            await self._news.wait()

    def _tell(self, *, closed: bool) -> None:
        self.count += 1
        self.closed = closed
        self._news.set()
        self._news = asyncio.Event()


class Starter:
    """Hands launch requests to the fork server, or to a fresh process where forking is not to be had."""

    def __init__(self, fork_server_socket: Path, method: StartMethod) -> None:
        self._socket = fork_server_socket
        self._method: StartMethod = "spawn" if method == "auto" and sys.platform != "linux" else method
        self._events: dict[str, Events] = {}
        self._following: set[asyncio.Task[None]] = set()

    def find_events(self, name: str) -> Events | None:
        """Return the events of the launch `name` if this process started it and it has not ended."""
        return self._events.get(name)

    async def launch(self, request: LaunchRequest) -> dict[str, Any]:
        """Start `request`, or find what an earlier call started; returns {pid, start_time, boot_id} of its shim.

        Raises Unavailable (`engine-unavailable`).
        """
        if self._method != "spawn":
            try:
                return await self._ask(*await self._connect(), request)
            except OSError as exc:
                if self._method == "fork":
                    raise _unavailable("The fork server does not answer", str(exc)) from exc
                _log.warning("fork server does not answer (%s): spawning launch %s", exc, request.name)
        try:
            return await self._ask(*await self._spawn(), request)
        except OSError as exc:
            raise _unavailable("No process could be started", str(exc)) from exc

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        clock = asyncio.get_running_loop().time
        deadline = clock() + _FORK_SERVER_SECONDS
        while True:
            try:
                return await asyncio.open_unix_connection(self._socket)
            except OSError:
                if clock() > deadline:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def _spawn(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "studiolo.runtime.shim"),
                stdin=theirs.fileno(),
                # Nothing else of the platform's environment is its business; the session's is in the request.
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TMPDIR") if name in os.environ},
            )
        # It detaches itself and returns at once, so that nobody here must reap it when it ends.
        await process.wait()
        return await asyncio.open_unix_connection(sock=ours)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: LaunchRequest
    ) -> dict[str, Any]:
        event: dict[str, Any] = {}
        try:
            async with asyncio.timeout(_STARTED_SECONDS):
                writer.write(request.to_line())
                await writer.drain()
                event = json.loads(await reader.readline())
        except (OSError, ValueError) as exc:
            raise ConnectionError(f"no answer to the launch request: {exc!r}") from exc
        finally:
            if event.get("event") != "started" or event.get("existing"):
                writer.close()
        if event["event"] != "started":
            raise _unavailable("The launch was refused", event.get("message", ""))
        if not event.get("existing"):
            self._follow(request.name, reader, writer)
        return event

    def _follow(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        events = self._events[name] = Events()
        task = asyncio.create_task(events.follow(reader, writer))
        # The event loop holds tasks weakly.
        self._following.add(task)

        def forget(task: asyncio.Task[None]) -> None:
            self._following.discard(task)
            self._events.pop(name, None)

        task.add_done_callback(forget)

    async def aclose(self) -> None:
        """Let go of all connections; the launches go on."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)


def _unavailable(what: str, detail: str) -> Unavailable:
    return Unavailable(
        "engine-unavailable",
        f"{what}, so the session cannot be started now.",
        hint="Try again in a few seconds; `studiolo doctor` tells what is wrong if it stays so.",
        detail=detail,
    )
