"""Websockets that were taken over from the HTTP server, with a client that speaks RFC 6455 by itself."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from studiolo.gateway.messages.websocket import MOST_INCOMING, MOST_PIECES, MOST_UNREAD, Websocket

SECONDS = 20.0


@dataclass
class Door:
    """A server that hands over its websockets."""

    url: str = ""
    accepted: "asyncio.Queue[Websocket]" = field(default_factory=asyncio.Queue)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        websocket = Websocket.accept(request, ("good",))
        assert websocket is not None
        await self.accepted.put(websocket)
        return web.Response(status=101)

    async def meet(self) -> tuple[ClientConnection, Websocket]:
        client = await connect(self.url, compression=None, ping_interval=None, max_size=None)
        return client, await self.accepted.get()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    found = Door()
    app = web.Application()
    app.router.add_get("/", found.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    async with asyncio.timeout(SECONDS):
        yield found
    await runner.cleanup()


async def test_messages_pass_both_ways_whole_though_they_were_sent_in_pieces(door: Door) -> None:
    client, server = await door.meet()
    await client.send(["a", "b", "c"])
    await client.send(b"\x00" * 300_000)
    server.write(Frame(Opcode.BINARY, b"back").serialize(mask=False))
    text, data = await server.receive(), await server.receive()
    assert text == (True, "abc")
    assert data is not None
    assert len(data.data) == 300_000
    assert await client.recv() == b"back"
    await client.close()
    assert await server.receive() is None
    await server.closed()


async def test_a_message_in_pieces_without_end_is_refused(door: Door) -> None:
    client, server = await door.meet()
    client.transport.write(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True))
    client.transport.write(Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * MOST_PIECES)
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    assert await server.receive() is None


async def test_frames_in_pieces_come_whole_and_in_order_to_who_takes_them_slowly(door: Door) -> None:
    client, server = await door.meet()
    sent = [(b"%d" % number) * 2_000_000 for number in range(10, 18)]
    for data in sent:
        frame = Frame(Opcode.BINARY, data).serialize(mask=False)
        server.write(frame[:10], frame[10:1_500_000], frame[1_500_000:])
    small = Frame(Opcode.BINARY, b"small").serialize(mask=False)
    server.write(*[small] * 3_000)
    assert server.waiting_bytes > 0
    assert [await client.recv() for _ in sent] == sent
    assert {await client.recv() for _ in range(3_000)} == {b"small"}
    server.write(*[small] * 3_000)
    assert {await client.recv() for _ in range(3_000)} == {b"small"}
    await client.close()
    await server.closed()


async def test_a_subprotocol_that_both_know_is_agreed_on(door: Door) -> None:
    async with connect(door.url, subprotocols=["bad", "good"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == (await door.accepted.get()).protocol == "good"


async def test_either_side_may_close_and_both_learn_why(door: Door) -> None:
    client, server = await door.meet()
    server.close(1008, "Signed out.")
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert (client.close_code, client.close_reason) == (1008, "Signed out.")
    await server.closed()
    client, server = await door.meet()
    await client.close(1001)
    await server.closed()
    assert server.close_code == 1001
    assert not server.is_open


async def test_a_connection_that_vanishes_ends_what_waits_for_it(door: Door) -> None:
    client, server = await door.meet()
    waiting = asyncio.create_task(server.receive())
    client.transport.abort()
    assert await waiting is None
    assert server.close_code == 1006
    with pytest.raises(ConnectionResetError):
        await server.drain()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(Opcode.TEXT, b"\xff\xfe"), 1007),
        (Frame(Opcode.CONT, b"of nothing"), 1002),
        (Frame(Opcode.BINARY, b"\x00" * (MOST_INCOMING + 1)), 1009),
    ],
    ids=["no UTF-8", "out of order", "too big"],
)
async def test_what_breaks_the_protocol_is_closed_with_its_code(door: Door, frame: Frame, code: int) -> None:
    client, server = await door.meet()
    client.transport.write(frame.serialize(mask=True))
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert client.close_code == code
    assert await server.receive() is None
    await server.closed()


async def test_who_is_not_received_is_not_read_without_end(door: Door) -> None:
    client, server = await door.meet()
    size = 1000
    sending = asyncio.create_task(_send(client, MOST_UNREAD * 300, b"\x00" * size))
    while len(server._unread) < MOST_UNREAD:
        await asyncio.sleep(0)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert len(server._unread) < MOST_UNREAD + 300
    assert not sending.done()
    for _ in range(MOST_UNREAD * 300):
        message = await server.receive()
        assert message is not None
    await sending
    await client.close()
    await server.closed()


async def test_other_requests_than_those_for_a_websocket_are_refused(door: Door) -> None:
    async with aiohttp.ClientSession() as session, session.get(door.url.replace("ws:", "http:")) as answer:
        assert answer.status == 400


async def test_an_idle_websocket_costs_little(door: Door) -> None:
    """Of Python's memory; the HTTP server's own would cost 13 KiB."""
    clients, servers = [], []
    clients.append((await door.meet())[0])
    gc.collect()
    tracemalloc.start()
    for _ in range(50):
        clients.append(await connect(door.url, ping_interval=None))
        servers.append(await door.accepted.get())
    gc.collect()
    kept = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(True, f"*/{name}*") for name in ("gateway/websocket", "aiohttp/", "websockets/protocol")]
    )
    tracemalloc.stop()
    assert sum(one.size for one in kept.statistics("filename")) / 50 < 6 * 1024
    for client in clients:
        await client.close()
    for server in servers:
        await server.closed()


async def _send(client: ClientConnection, count: int, data: bytes) -> None:
    for _ in range(count):
        await client.send(data)
