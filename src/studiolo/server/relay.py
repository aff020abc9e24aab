"""Websockets to servers that are not ours, carried where they can be closed when a login ends.

The front door closes no socket that it carries, and a server elsewhere (a JupyterHub's) knows nothing of our logins.
So the front door has these sockets carried here: bytes both ways, each known by its session and its login or key.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from studiolo.kit.cache import MomentCache

_log = structlog.get_logger(__name__)
# Set by the front door, and by nobody else: it takes what a client sends of this name away.
_OURS = b"studiolo-relay-"
_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_PIECE = 64 * 1024
# What the front door was told just before still counts for a moment: longer than the door remembers its answers.
_CLOSED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Way:
    """Where a socket leads, and whose it is. `head`: of the request, as the server is to get it."""

    host: str
    port: int
    is_tls: bool
    session_id: str
    login: str
    head: bytes


class Relay:
    """Listens at `path`, which lies in a private folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[tuple[str, str], set[asyncio.Task[None]]] = {}
        self._closed: MomentCache[tuple[str, str], bool] = MomentCache(_CLOSED_SECONDS)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve until the end; whoever is carried then asks again."""
        server = await asyncio.start_unix_server(self._serve, self._path, limit=_HEAD_BYTES)
        try:
            yield
        finally:
            server.close()
            carrying = [task for tasks in self._open.values() for task in tasks]
            for task in carrying:
                task.cancel()
            await asyncio.gather(*carrying, return_exceptions=True)

    def close(self, session_id: str, logins: set[str]) -> None:
        """Close the sockets of these logins or keys in a session; who may still opens them again."""
        for login in logins:
            self._closed.put((session_id, login), True)
            for task in self._open.get((session_id, login), ()):
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                way = read_way(await reader.readuntil(b"\r\n\r\n"))
            if self._closed.find((way.session_id, way.login)):
                await _refuse(writer, b"503 Service Unavailable")
                return
            await self._carry(way, reader, writer)
        except ValueError:
            await _refuse(writer, b"400 Bad Request")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
            _log.info("socket-not-carried", why=repr(exc))
            await _refuse(writer, b"502 Bad Gateway")
        finally:
            writer.transport.abort()

    async def _carry(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of its own, so that what ends it is never mistaken for the end of the server.
        task = asyncio.create_task(_carry(way, reader, writer), name="carry-socket")
        known = self._open.setdefault((way.session_id, way.login), set())
        known.add(task)
        try:
            await asyncio.wait({task})
        finally:
            known.discard(task)
            if not known:
                self._open.pop((way.session_id, way.login), None)
        if not task.cancelled():
            task.result()


def read_way(head: bytes) -> Way:
    """Read a request's head; raises ValueError for one that the front door did not make."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    told: dict[str, str] = {}
    kept = [first]
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower().startswith(_OURS):
            told[name.lower().removeprefix(_OURS).decode("ascii")] = value.strip().decode("ascii")
        else:
            kept.append(line)
    host, _, port = told.get("to", "").rpartition(":")
    if not host or not port.isdecimal() or not told.get("session") or not told.get("login"):
        raise ValueError("a socket must say where it leads and whose it is")
    is_tls = told.get("tls") == "1"
    return Way(host.strip("[]"), int(port), is_tls, told["session"], told["login"], b"\r\n".join(kept) + b"\r\n\r\n")


async def _carry(way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    verify = ssl.create_default_context() if way.is_tls else None
    async with asyncio.timeout(_CONNECT_SECONDS):
        there, back = await asyncio.open_connection(way.host, way.port, ssl=verify, limit=_HEAD_BYTES)
    try:
        # A machine that went away without a word is noticed in the end.
        back.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        back.write(way.head)
        answer = await there.readuntil(b"\r\n\r\n")
        writer.write(answer)
        # Before a server agrees nothing may follow: another request would come in under this one's name.
        is_agreed = answer.split(b" ", 2)[1:2] == [b"101"]
        onward = _pump(reader, back) if is_agreed else reader.read(1)
        pumping = {asyncio.ensure_future(onward), asyncio.ensure_future(_pump(there, writer))}
        try:
            await asyncio.wait(pumping, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in pumping:
                one.cancel()
            await asyncio.gather(*pumping, return_exceptions=True)
    finally:
        back.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()


async def _refuse(writer: asyncio.StreamWriter, status: bytes) -> None:
    with contextlib.suppress(OSError):
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
