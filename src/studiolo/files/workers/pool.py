"""The host's side of the workers: asks for work, waits for the answer, ends the process that nobody uses."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from dataclasses import dataclass, field
from typing import Any

from studiolo.files.workers.limits import INDEX

_IDLE_SECONDS = 300.0
# A long index must not keep previews waiting.
_AT_ONCE = {"preview": 2, "index": 1, "difference": 1}
_MAX_ANSWER = 64 * 1024
# A child that the kernel should have ended long ago is not waited for.
_PATIENCE_SECONDS = INDEX.seconds + 30


class WorkFailed(Exception):
    """A piece of work came to nothing. `reason`: memory, error or died; `detail` for the log."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class _Server:
    process: asyncio.subprocess.Process
    line: socket.socket
    busy: int = 0
    idle: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class WorkerPool:
    """Does pieces of work in limited processes, of each kind only some at once; others wait their turn.

    `idle_seconds`: how long the process that forks them outlives the last piece. `close` when done.
    """

    idle_seconds: float = _IDLE_SECONDS
    _server: _Server | None = None
    _ending: set[asyncio.Task[int]] = field(default_factory=set)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _turns: dict[str, asyncio.Semaphore] = field(
        default_factory=lambda: {work: asyncio.Semaphore(most) for work, most in _AT_ONCE.items()}
    )

    @property
    def pid(self) -> int | None:
        """The process that forks workers, while there is one."""
        return self._server.process.pid if self._server else None

    async def do(self, work: str, *descriptors: int, **arguments: Any) -> dict[str, Any]:
        """Return the answer of `work` (see workers.server) on these open descriptors. Raises WorkFailed."""
        packet = json.dumps({"do": work, **arguments}).encode()
        async with self._turns[work]:
            try:
                return await self._ask(packet, descriptors)
            except OSError:
                # The process was killed since it was last used; the next one does it.
                return await self._ask(packet, descriptors)

    async def prepare(self) -> None:
        """Start the process that forks workers if it does not run: work that follows soon begins at once."""
        self._rest(await self._ready())

    async def close(self) -> None:
        """End the process; work under way ends without an answer."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                self._server.process.kill()
            self._let_go(self._server)
        await asyncio.gather(*self._ending)

    async def _ask(self, packet: bytes, descriptors: tuple[int, ...]) -> dict[str, Any]:
        server = await self._ready()
        server.busy += 1
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with ours:
                ours.setblocking(False)
                with theirs:
                    socket.send_fds(server.line, [packet], [theirs.fileno(), *descriptors])
                return await _answer(ours)
        except OSError:
            self._let_go(server)
            raise
        finally:
            server.busy -= 1
            self._rest(server)

    async def _ready(self) -> _Server:
        async with self._starting:
            if self._server is not None and self._server.process.returncode is not None:
                self._let_go(self._server)
            if self._server is None:
                self._server = await _start()
            if self._server.idle is not None:
                self._server.idle.cancel()
            return self._server

    def _rest(self, server: _Server) -> None:
        if server.busy == 0 and server is self._server:
            if server.idle is not None:
                server.idle.cancel()
            server.idle = asyncio.get_running_loop().call_later(self.idle_seconds, self._let_go, server)

    def _let_go(self, server: _Server) -> None:
        """Use this process no more: it ends by itself when nobody can ask any more."""
        if server is self._server:
            self._server = None
            if server.idle is not None:
                server.idle.cancel()
            server.line.close()
            ending = asyncio.create_task(server.process.wait())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)


async def _answer(reply: socket.socket) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            answer = await asyncio.get_running_loop().sock_recv(reply, _MAX_ANSWER)
    except TimeoutError as exc:
        raise WorkFailed("died", "no answer") from exc
    if not answer:
        raise WorkFailed("died", "a limit of time or memory was met")
    told: dict[str, Any] = json.loads(answer)
    if "done" not in told:
        raise WorkFailed(told["failed"], told.get("detail", ""))
    done: dict[str, Any] = told["done"]
    return done


async def _start() -> _Server:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "studiolo.files.workers.server",
            str(theirs.fileno()),
            pass_fds=(theirs.fileno(),),
            stdin=asyncio.subprocess.DEVNULL,
            # Foreign content must not make it use the disk, threads or memory of its own accord.
            env=os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"},
        )
    return _Server(process, ours)
