"""Frames and channels of kernels against a scripted service, for what a real one seldom does."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.gateway.messages.frames import decode_v1, encode_numbered, encode_v1
from studiolo.sdk.kernel_channels import KernelAddress, KernelChannels
from studiolo.sdk.kernel_messages import (
    NUMBERED,
    PLAIN,
    BadFrameError,
    KernelMessage,
    decode,
    encode,
    request,
)
from studiolo.sdk.kernels.ends import LocalEnds

Script = Callable[[ServerConnection], Coroutine[Any, Any, None]]
SECONDS = 10


def published(number: int, text: str, channel: str = "iopub", kind: str = "stream") -> bytes:
    message = request(channel, kind, {"name": "stdout", "text": text}, session="kernel")
    return struct.pack("<Q", number) + encode(message)


def gap(first: int, last: int, messages: int | None) -> bytes:
    content = {"from": first, "to": last, "messages": messages, "bytes": 100}
    return struct.pack("<Q", 0) + encode(request("journal", "gap", content, session="kernel"))


@contextlib.asynccontextmanager
async def service(*scripts: Script) -> AsyncIterator[tuple[KernelAddress, list[str]]]:
    """Serve each connection by the next script; yields the kernel's address, and the paths that were asked for."""
    asked: list[str] = []
    left = list(scripts)

    async def handle(socket: ServerConnection) -> None:
        assert socket.request is not None
        asked.append(socket.request.path)
        await (left.pop(0) if len(left) > 1 else left[0])(socket)

    async with serve(handle, "127.0.0.1", 0, subprotocols=[Subprotocol(NUMBERED)]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield KernelAddress(f"http://127.0.0.1:{port}/w/x/", "k-1", "secret"), asked


def sends(*frames: bytes | str, then: Script | None = None) -> Script:
    async def script(socket: ServerConnection) -> None:
        for frame in frames:
            await socket.send(frame)
        if then is not None:
            await then(socket)
        else:
            await socket.wait_closed()

    return script


async def cuts(socket: ServerConnection) -> None:
    socket.transport.abort()


def closes(code: int, reason: str) -> Script:
    async def script(socket: ServerConnection) -> None:
        await socket.close(code, reason)

    return script


async def receive(channels: KernelChannels, count: int) -> list[KernelMessage]:
    found: list[KernelMessage] = []
    async with asyncio.timeout(SECONDS):
        async for message in channels:
            found.append(message)
            if len(found) == count:
                break
    return found


@given(st.lists(st.binary(max_size=50), min_size=4, max_size=8), st.sampled_from(["shell", "iopub", "stdin"]))
def test_frames_are_those_of_the_kernel_host(parts: list[bytes], channel: str) -> None:
    assert decode_v1(encode(KernelMessage(channel, parts))) == (channel, parts)
    assert decode(encode_v1(channel, parts), PLAIN) == KernelMessage(channel, tuple(parts))
    assert decode(encode_numbered(7, channel, parts), NUMBERED) == KernelMessage(channel, tuple(parts), 7)


@given(st.binary(max_size=300), st.sampled_from([PLAIN, NUMBERED]))
def test_arbitrary_bytes_are_a_message_or_a_bad_frame(frame: bytes, protocol: str) -> None:
    with contextlib.suppress(BadFrameError):
        message = decode(frame, protocol)
        assert isinstance(message.header, dict)


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_flipped_byte_is_a_message_or_a_bad_frame(place: int, value: int) -> None:
    frame = bytearray(published(3, "text"))
    frame[place % len(frame)] = value
    with contextlib.suppress(BadFrameError):
        message = decode(bytes(frame), NUMBERED)
        assert isinstance(message.content, dict)


async def test_what_comes_twice_after_a_cut_is_passed_on_once() -> None:
    first = sends(published(1, "a"), published(2, "b"), then=cuts)
    second = sends(published(2, "b"), published(3, "c"))
    async with service(first, second) as (address, asked), KernelChannels(address, session="me", after=0) as channels:
        found = await receive(channels, 3)
    assert [message.content["text"] for message in found] == ["a", "b", "c"]
    assert asked == [f"/w/x/api/kernels/k-1/channels?session_id=me&after={after}" for after in (0, 2)]


async def test_after_a_gap_the_next_question_begins_behind_it() -> None:
    first = sends(published(1, "a"), gap(2, 9, 8), then=cuts)
    then = sends(published(10, "b"))
    async with service(first, then) as (address, asked), KernelChannels(address, after=0) as channels:
        found = await receive(channels, 3)
    assert [message.type for message in found] == ["stream", "gap", "stream"]
    assert asked[1].endswith("after=9")


async def test_a_gap_reaches_users_of_jupyter_client_as_a_line_of_output() -> None:
    import zmq.asyncio

    async with service(sends(gap(1, 8, 8))) as (address, _):
        ends = LocalEnds(address, after=0)
        await asyncio.to_thread(ends.start)
        context = zmq.asyncio.Context()
        socket = context.socket(zmq.SUB)
        socket.subscribe(b"")
        known: Any = ends.connection
        socket.connect(f"{known['transport']}://{known['ip']}-{known['iopub_port']}")
        try:
            frames = await asyncio.wait_for(socket.recv_multipart(), SECONDS)
        finally:
            context.destroy(linger=0)
            await asyncio.to_thread(ends.stop)
    assert b"8 messages of output" in frames[-1]


async def test_a_service_that_ends_it_says_why_and_is_not_asked_again() -> None:
    ending = closes(1008, "You are signed in no longer.")
    async with service(ending) as (address, asked), KernelChannels(address) as channels:
        with pytest.raises(Unavailable, match="You are signed in no longer"):
            await receive(channels, 1)
    assert len(asked) == 1


@pytest.mark.parametrize("frame", [b"\x00" * 40, b"short", "text", struct.pack("<QQ", 1, 2**60)])
async def test_what_is_no_frame_ends_the_connection(frame: bytes | str) -> None:
    async with service(sends(frame)) as (address, _), KernelChannels(address) as channels:
        with pytest.raises(Unavailable) as caught:
            await receive(channels, 1)
    assert caught.value.code == "kernel-unreachable"


async def test_a_request_without_reply_is_sent_again_after_a_cut() -> None:
    heard: list[str] = []

    async def hears(socket: ServerConnection) -> None:
        frame = await socket.recv()
        assert isinstance(frame, bytes)
        heard.append(decode(frame, PLAIN).id)

    async def hears_and_cuts(socket: ServerConnection) -> None:
        await hears(socket)
        await cuts(socket)

    async def hears_and_answers(socket: ServerConnection) -> None:
        await hears(socket)
        await socket.send(published(1, "done"))
        await socket.wait_closed()

    async with service(hears_and_cuts, hears_and_answers) as (address, _), KernelChannels(address) as channels:
        asking = request("shell", "execute_request", {"code": "1"}, session=channels.session)
        await channels.send(asking)
        await receive(channels, 1)
    assert heard == [asking.id, asking.id]


async def test_a_message_that_no_service_takes_is_refused_here_and_the_connection_stays() -> None:
    async with service(sends(published(1, "a"))) as (address, _), KernelChannels(address) as channels:
        huge = request("shell", "execute_request", {"code": "1" * (17 << 20)}, session=channels.session)
        with pytest.raises(InvalidInput, match="16 MiB"):
            await channels.send(huge)
        assert (await receive(channels, 1))[0].content["text"] == "a"
