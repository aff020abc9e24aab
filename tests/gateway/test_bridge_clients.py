"""Clients of a bridge that leave and return, are slow, hostile or gone: nobody else notices."""

import asyncio
import contextlib
import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.bridging import NUMBERED_PROTOCOL, PROTOCOLS, V1_PROTOCOL, Bridge, Message, Peer, texts
from studiolo.gateway.journals.records import Entry
from studiolo.gateway.messages.frames import encode_v1
from studiolo.gateway.messages.wire import build

MIB = 1024 * 1024
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
# A cell that goes on once there is a file of this name.
AWAIT = "import os, time\nwhile not os.path.exists({0!r}): time.sleep(0.01)\n"
COUNT = "import time\nfor n in range({0}): print(n, flush=True)\nprint('end', flush=True)"


def lines(count: int) -> str:
    return "".join(f"{n}\n" for n in range(count)) + "end\n"


def says_end(message: Message) -> bool:
    return message.type == "stream" and message.content["text"].endswith("end\n")


async def reach(condition: Callable[[], Any]) -> None:
    """Wait for something that is soon true."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_session_that_returns_gets_what_it_missed_once(
    bridge: Bridge, protocol: str | None, tmp_path: Path
) -> None:
    first = await bridge.connect(protocol=protocol)
    await first.run("print('before')")
    request = await first.execute(AWAIT.format(str(tmp_path / "go")) + COUNT.format(200))
    await first.until(lambda message: message.type == "execute_input")
    await first.socket.close()
    await reach(lambda: bridge.kernel.connections == 0)
    (tmp_path / "go").touch()
    await reach(lambda: bridge.kernel.busy_since is None)
    back = await bridge.connect(protocol=protocol, session=first.session)
    missed = await back.until(lambda message: message.channel == "shell")
    assert texts(missed) == lines(200)
    assert missed[-1].parent["msg_id"] == request
    assert texts(await back.run("print('after')")) == "after\n"


async def test_a_new_session_begins_now(bridge: Bridge) -> None:
    earlier = await bridge.connect()
    await earlier.run("print('before')")
    later = await bridge.connect()
    assert (await later.receive()).content == {"execution_state": "idle"}
    assert "before" not in texts(await later.run("print('after')"))


async def test_numbered_clients_resume_anywhere_exactly(bridge: Bridge) -> None:
    client = await bridge.connect(protocol=NUMBERED_PROTOCOL, after=0)
    await client.run(COUNT.format(300))
    written = [message for message in client.seen if message.number]
    assert [message.number for message in written] == list(range(1, len(written) + 1))
    half = written[len(written) // 2].number
    again = await bridge.connect(protocol=NUMBERED_PROTOCOL, after=half)
    came = await again.until(lambda message: message.number == written[-1].number)
    assert [m.header["msg_id"] for m in came if m.number] == [m.header["msg_id"] for m in written[half:]]


async def test_a_second_websocket_of_a_session_takes_the_place_of_the_first(bridge: Bridge) -> None:
    first = await bridge.connect(session="mine")
    second = await bridge.connect(session="mine")
    assert await first.until_closed() == 1000
    assert texts(await second.run("print(2)")) == "2\n"
    await reach(lambda: bridge.kernel.connections == 1)


async def test_a_session_of_somebody_else_is_not_taken_over(bridge: Bridge) -> None:
    owner = await bridge.connect(session="mine", person="p-1")
    other = await bridge.connect(session="mine", person="p-2")
    assert texts(await owner.run("print('owner')")) == "owner\n"
    assert texts(await other.run("print('other')")).endswith("other\n")
    assert "execute_reply" in [message.type for message in other.seen]


async def test_a_stock_client_that_was_slow_gets_everything_in_order(bridge: Bridge) -> None:
    slow, quick = await bridge.connect(), await bridge.connect()
    await slow.receive()
    await quick.run(f"for n in range(40): print(str(n) * {MIB // 2}, flush=True)\nprint('end')")
    assert texts(await slow.until(says_end)) == texts(quick.seen)


def frame(channel: str = "shell", header: bytes | None = None, **more: Any) -> bytes:
    parts = build(more.pop("msg_type", "execute_request"), {}, session="s", **more)
    return encode_v1(channel, [header or parts[0], *parts[1:]])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 1007),
        (b"\xff" * 64, 1007),
        (struct.pack("<Q", 2**63), 1007),
        (frame("nowhere"), 1007),
        (frame("iopub"), 1007),
        (frame(header=b"[]"), 1007),
        (frame(header=b"{"), 1007),
        (frame(header=b'{"msg_id": 7, "msg_type": "execute_request"}'), 1007),
        (frame(header=b'{"msg_id": "' + b"x" * 100_000 + b'"}'), 1007),
        ("text", 1003),
    ],
)
async def test_a_hostile_frame_closes_its_websocket_with_a_reason(bridge: Bridge, data: bytes | str, code: int) -> None:
    offender, other = await bridge.connect(), await bridge.connect()
    await (offender.socket.send_str(data) if isinstance(data, str) else offender.socket.send_bytes(data))
    assert await offender.until_closed() == code
    assert texts(await other.run("print('unharmed')")) == "unharmed\n"


async def test_what_is_json_and_no_message_closes_too(bridge: Bridge) -> None:
    offender = await bridge.connect(protocol=None)
    await offender.socket.send_str('{"channel": "shell", "header": ["no"]}')
    assert await offender.until_closed() == 1007


async def test_metadata_without_end_harm_nobody(bridge: Bridge) -> None:
    offender, other = await bridge.connect(), await bridge.connect()
    parts = build("execute_request", {"code": "1"}, session=offender.session, msg_id="deep")
    parts[2] = DEEP
    await offender.socket.send_bytes(encode_v1("shell", parts))
    assert texts(await other.run("print('unharmed')")) == "unharmed\n"
    assert texts(await offender.run("print('still here')")).endswith("still here\n")


HOSTILE_OUTPUT = """
kernel = get_ipython().kernel
session, thread = kernel.session, kernel.iopub_thread
def publish(*frames): thread.send_multipart([bytes(frame) for frame in frames])
def say(content, parent=b"{}", kind="status"):
    parts = [session.pack(session.msg_header(kind)), parent, b"{}", content]
    publish(b"topic", b"<IDS|MSG>", session.sign(parts), *parts)
deep = b'{"a":' * 50_000
publish(b"")
publish(b"<IDS|MSG>")
publish(b"topic", b"<IDS|MSG>", b"signature", b"{}", b"{}", b"{}", b"{}")
publish(b"topic", b"studiolo:" + b"9" * 5_000, b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}")
publish(b"topic", b"<IDS|MSG>", b"", deep, deep, deep, deep)
publish(*[b"x"] * 11_000)
for content in (deep, b"[]", b"\\xff", b"null", b'{"execution_state": {"a": []}}', b'{"execution_state": 7}'):
    say(content)
for parent in (deep, b"[]", b'{"msg_id": 7}', b'{"msg_id": "\\ud800"}', b'{"msg_id": "' + b"m" * 300 + b'"}'):
    say(b'{"execution_state": "busy"}', parent)
say(b'{"comm_id": [], "target_name": {}}', kind="comm_open")
print("unharmed")
"""


def contents(bridge: Bridge) -> list[bytes]:
    return [item.parts[3] for item in bridge.journal.read(0, most_bytes=9 * MIB) if isinstance(item, Entry)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_a_kernel_publishes_against_the_protocol_stops_nothing(bridge: Bridge, protocol: str | None) -> None:
    client = await bridge.connect(protocol=protocol)
    await client.execute(HOSTILE_OUTPUT)
    await reach(lambda: any(b'"unharmed\\n"' in part for part in contents(bridge)))
    other = await bridge.connect()
    assert texts(await other.run("print('still here')")) == "still here\n"
    assert not client.socket.closed


async def test_a_message_of_a_hundred_megabytes_is_refused(bridge: Bridge) -> None:
    offender, other = await bridge.connect(), await bridge.connect()
    with contextlib.suppress(ConnectionError):
        await offender.socket.send_bytes(b"x" * 100_000_000)
    assert await offender.until_closed() in (1009, 1006)
    assert texts(await other.run("print('unharmed')")) == "unharmed\n"


async def test_an_output_of_a_hundred_megabytes_is_a_marked_gap(bridge: Bridge) -> None:
    client = await bridge.connect()
    came = await client.run("print('x' * 100_000_000, flush=True)\nprint('after')")
    assert texts(came) == "after\n"
    marks = [m for m in came if m.type == "stream" and m.content["name"] == "stderr"]
    assert "95.4 MiB is left out" in marks[0].content["text"]
    assert marks[0].metadata["studiolo"]["gap"]["messages"] == 1


async def test_ten_thousand_frames_of_one_client_keep_nobody_waiting(bridge: Bridge) -> None:
    flooder, other = await bridge.connect(), await bridge.connect()
    await other.run("pass")
    parts = [build("comm_msg", {"comm_id": "none", "data": {}}, session=flooder.session) for _ in range(10_000)]

    async def flood() -> None:
        for each in parts:
            await flooder.socket.send_bytes(encode_v1("shell", each))

    flooding = asyncio.create_task(flood())
    asked = await other.send("kernel_info_request", channel="control")
    await other.until(lambda message: message.parent.get("msg_id") == asked and message.channel == "control")
    await flooding
    assert texts(await other.run("print('unharmed')")) == "unharmed\n"


async def test_a_connection_without_a_sign_of_life_is_dropped(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.kernel._audience, "_ping_seconds", 0.1)
    alive = await bridge.connect()
    dead = await bridge.connect(autoping=False)
    reading = asyncio.create_task(alive.until_closed())
    await reach(lambda: bridge.kernel.connections == 1)
    assert not reading.done()
    assert dead.session != alive.session
    reading.cancel()


async def test_idle_websockets_cost_little(bridge: Bridge) -> None:
    """Client and host are one process here: a thousand pairs, so half of each number is the host's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    process = psutil.Process()
    await bridge.connect()
    before = process.num_fds()
    peers: list[Peer] = [await bridge.connect(protocol=V1_PROTOCOL) for _ in range(200)]
    assert bridge.kernel.connections == 201
    assert process.num_fds() - before <= 2 * len(peers) + 5
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert os.getpid() == process.pid


async def test_who_queues_thousands_of_cells_is_still_asked_and_heard(bridge: Bridge) -> None:
    """The queue towards the kernel is bounded; the answer that it waits for comes past it."""
    client = await bridge.connect()
    first = await client.execute("name = input()")
    await client.until(lambda message: message.channel == "stdin")
    for _ in range(2500):
        await client.execute("pass", silent=True)
    last = await client.execute("print(name)")
    await client.send("input_reply", {"value": "ada"}, channel="stdin")
    assert "ada\n" in texts(await client.until_done(last))
    replies = [message.parent["msg_id"] for message in client.seen if message.type == "execute_reply"]
    assert (replies[0], replies[-1], len(set(replies))) == (first, last, 2502)


async def test_cells_behind_one_that_failed_are_not_run(bridge: Bridge, tmp_path: Path) -> None:
    """Those that still wait here are aborted as the kernel aborts those that wait in it."""
    client = await bridge.connect()
    await client.run("ran = []")
    await client.execute(AWAIT.format(str(tmp_path / "go")) + "1 / 0")
    for n in range(200):
        await client.execute(f"ran.append({n})")
    (tmp_path / "go").touch()
    replies: list[str] = []
    while len(replies) < 201:
        replies.append((await client.until(lambda m: m.type == "execute_reply"))[-1].content["status"])
    assert replies == ["error", *["aborted"] * 200]
    assert texts(await client.run("print(len(ran))")) == "0\n"


async def test_requests_that_no_kernel_answers_stop_nobody(bridge: Bridge) -> None:
    """A kernel drops what comes twice or is malformed without a word."""
    offender, other = await bridge.connect(), await bridge.connect()
    parts = build("execute_request", {"code": "1"}, session="s")
    for n in range(200):
        header = parts[0].replace(b'"msg_id":"', b'"msg_id":"%d-' % n)
        await offender.socket.send_bytes(encode_v1("shell", [header, *parts[1:3], b"{not json"]))
    assert texts(await other.run("print('unharmed')")) == "unharmed\n"
