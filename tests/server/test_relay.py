"""Websockets that are carried to servers that are not ours, over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from studiolo.server.relay import Relay, read_way

AGREED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
PATIENCE_SECONDS = 30
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Server:
    """Answers each request with `answer`, then says again what it hears. `ended`: connections that came to an end."""

    port: int = 0
    answer: bytes = AGREED
    heads: list[bytes] = field(default_factory=list)
    heard: bytearray = field(default_factory=bytearray)
    ended: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            while piece := await reader.read(1 << 16):
                self.heard += piece
                writer.write(piece)
                await writer.drain()
        writer.close()
        self.ended.put_nowait(None)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.sock"


@pytest.fixture
async def relay(path: Path) -> AsyncIterator[Relay]:
    made = Relay(path)
    async with made.serving():
        yield made


def head(port: int, *, session: str = "s-1", login: str = "l-1") -> bytes:
    lines = [
        *("GET /user/ana/x?y=1 HTTP/1.1", "Host: hub.test", f"Studiolo-Relay-To: 127.0.0.1:{port}"),
        *("studiolo-relay-tls: ", f"Studiolo-Relay-Session: {session}", f"Studiolo-Relay-Login: {login}"),
        "Upgrade: websocket",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@contextlib.asynccontextmanager
async def opened(path: Path, sent: bytes) -> AsyncIterator[tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a socket; yields the head of what came back."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(sent)
            yield await reader.readuntil(b"\r\n\r\n"), reader, writer
        finally:
            writer.transport.abort()


@pytest.mark.usefixtures("relay")
async def test_bytes_go_both_ways_and_the_server_learns_nothing_of_ours(path: Path, server: Server) -> None:
    sent = bytes(range(256)) * 4096
    async with opened(path, head(server.port)) as (answer, reader, writer):
        assert answer == AGREED
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
    assert server.heads == [b"GET /user/ana/x?y=1 HTTP/1.1\r\nHost: hub.test\r\nUpgrade: websocket\r\n\r\n"]
    await asyncio.wait_for(server.ended.get(), PATIENCE_SECONDS)


async def test_the_sockets_of_a_login_are_closed_and_no_others(path: Path, server: Server, relay: Relay) -> None:
    async with (
        opened(path, head(server.port)) as (_, mine, _one),
        opened(path, head(server.port, login="l-2")) as (_, theirs, their_writer),
        opened(path, head(server.port, session="s-2")) as (_, elsewhere, other_writer),
    ):
        relay.close("s-1", {"l-1", "l-3"})
        assert await mine.read() == b""
        await server.ended.get()
        for reader, writer in ((theirs, their_writer), (elsewhere, other_writer)):
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"


async def test_what_was_allowed_just_before_a_login_ended_is_not_carried(
    path: Path, server: Server, relay: Relay
) -> None:
    relay.close("s-1", {"l-1"})
    async with opened(path, head(server.port)) as (answer, reader, _):
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert await reader.read() == b""
    assert not server.heads


@pytest.mark.usefixtures("relay")
async def test_after_a_refusal_nothing_follows_under_the_same_name(path: Path, server: Server) -> None:
    server.answer = REFUSED
    async with opened(path, head(server.port)) as (answer, reader, writer):
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert await reader.readexactly(2) == b"no"
        writer.write(head(server.port, login="l-2"))
        assert await reader.read() == b""
    assert not server.heard


@pytest.mark.usefixtures("relay")
@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", head(1).replace(b"l-1", b""), head(1).replace(b":1\r", b"\r")]
)
async def test_what_the_front_door_did_not_send_is_refused(path: Path, sent: bytes) -> None:
    async with opened(path, sent) as (answer, _, _writer):
        assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.usefixtures("relay")
async def test_a_server_that_is_away_is_told(path: Path, server: Server) -> None:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    async with opened(path, head(port)) as (answer, _, _writer):
        assert answer.startswith(b"HTTP/1.1 502 ")


async def test_the_end_of_the_relay_closes_what_it_carries(path: Path, server: Server) -> None:
    made = Relay(path)
    async with made.serving():
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(head(server.port))
        await reader.readuntil(b"\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
    writer.close()


def test_a_server_with_an_address_of_version_6_is_led_to() -> None:
    way = read_way(head(8000).replace(b"127.0.0.1", b"[::1]").replace(b"tls: ", b"tls: 1"))
    assert (way.host, way.port, way.is_tls) == ("::1", 8000, True)
