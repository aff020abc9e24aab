import contextlib
import json
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)

from studiolo.gateway.base import CHANNELS
from studiolo.gateway.messages import frames
from studiolo.gateway.messages.frames import BadFrameError
from studiolo.gateway.messages.wire import dump

HEADER = {"msg_id": "m", "msg_type": "stream", "session": "s", "username": "", "version": "5.4"}
MESSAGE = [dump(HEADER), b'{"msg_id":"p"}', b"{}", b'{"text":"\xc3\xa9"}']

channels = st.sampled_from(CHANNELS)
buffers = st.lists(st.binary(max_size=50), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=10), values, max_size=4)


@given(channels, st.lists(st.binary(max_size=80), min_size=4, max_size=9))
def test_v1_is_byte_for_byte_that_of_jupyter_server(channel: str, parts: list[bytes]):
    frame = frames.encode_v1(channel, parts)
    assert frame == serialize_msg_to_ws_v1(parts, channel)
    assert frames.decode_v1(frame) == (channel, parts)
    assert deserialize_msg_from_ws_v1(frame) == (channel, parts)
    assert frames.head_v1(channel, parts) + b"".join(parts) == frame


def test_v1_has_the_layout_that_jupyterlab_writes():
    """As serialize.ts of @jupyterlab/services 7 writes {channel: "shell", …, buffers: [1, 2]}."""
    texts = [b"shell", b'{"a":1}', b"{}", b"{}", b'{"b":2}', b"\x01", b"\x02"]
    ends = [8 * 9 + sum(map(len, texts[:place])) for place in range(8)]
    frame = struct.pack("<9Q", 8, *ends) + b"".join(texts)
    assert frames.decode_v1(frame) == ("shell", texts[1:])
    assert frames.encode_v1("shell", texts[1:]) == frame


@given(st.integers(0, 2**64 - 1), channels, buffers)
def test_numbered_frames_are_a_number_and_a_v1_frame(number: int, channel: str, more: list[bytes]):
    frame = frames.encode_numbered(number, channel, [*MESSAGE, *more])
    assert frame == number.to_bytes(8, "little") + frames.encode_v1(channel, [*MESSAGE, *more])
    assert frames.decode_numbered(frame) == (number, channel, [*MESSAGE, *more])


def test_only_numbered_clients_know_the_journals_channel():
    frame = frames.encode_numbered(0, "journal", MESSAGE)
    assert frames.decode_numbered(frame)[1] == "journal"
    with pytest.raises(BadFrameError, match="no channel"):
        frames.decode_v1(frame[8:])


@given(channels, objects, objects, buffers)
def test_json_frames_are_read_by_jupyter_server_and_its_by_us(channel: str, metadata, content, more: list[bytes]):
    parts = [dump(HEADER), dump({}), dump(metadata), dump(content), *more]
    frame = frames.encode_json(channel, parts)
    read = deserialize_binary_message(frame) if isinstance(frame, bytes) else json.loads(frame)
    expected = {"channel": channel, "header": HEADER, "parent_header": {}, "metadata": metadata, "content": content}
    assert read == {**expected, "msg_id": "m", "msg_type": "stream", "buffers": more}

    message = {**expected, "buffers": more}
    theirs = serialize_binary_message(message) if more else json.dumps(message)
    assert frames.decode_json(theirs) == (channel, parts)
    if isinstance(frame, bytes):
        assert frames.decode_json(frame) == (channel, parts)


def test_a_json_frame_without_channel_or_parent_is_for_shell_as_in_jupyter_server():
    assert frames.decode_json(json.dumps({"header": HEADER})) == ("shell", [dump(HEADER), b"{}", b"{}", b"{}"])


HOSTILE = [
    "",
    "[]",
    "null",
    "{}",
    '{"header": {}}',
    '{"header": []}',
    '{"header": {"a": 1}, "content": 4}',
    '{"header": {"a": 1}, "content": {"a": NaN}}',
    '{"header": {"a": 1}, "content": {"a": 1e999}}',
    '{"header": {"a": 1}, "buffers": ["x"]}',
    '{"header": {"a": 1}, "channel": "heartbeat"}',
    '{"header": {"a": 1}, "channel": ["shell"]}',
    '{"header": {"a": "\ud800"}}',
    '{"header": {"a": "' + "x" * 40_000 + '"}}',
    '{"header": {"a": ' + "[" * 500 + "]" * 500 + "}}",
    '{"header": {"a": ' + "[" * 100_000,
    '{"header": {"a": ' + "9" * 5_000 + "}}",
    '{"header": {"a": [' + "[]," * 1_000_000 + "0]}}",
    b"\0\0\0\1",
    b"\0\0\0\0\0\0\0\0",
    b"\xff\xff\xff\xff\0\0\0\0",
    b"\0\0\0\1\0\0\0\4{}",
    b"\0\0\0\1\0\0\0\x08\xff",
]


@pytest.mark.parametrize("frame", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_json_frames_are_refused(frame: str | bytes):
    with pytest.raises(BadFrameError):
        frames.decode_json(frame)


def v1(count: int, *offsets: int, rest: bytes = b"shell") -> bytes:
    return struct.pack(f"<{len(offsets) + 1}Q", count, *offsets) + rest


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "short"),
        (v1(5), "fewer"),
        (v1(2**64 - 1), "parts"),
        (v1(10_003, rest=b"\0" * 90_000), "parts"),
        (v1(6, 56, 61), "table"),
        (v1(6, 8, 61, 61, 61, 61, 61), "leaves"),
        (v1(6, 56, 61, 61, 61, 61, 62), "leaves"),
        (v1(6, 56, 61, 58, 61, 61, 61), "decrease"),
        (v1(6, 56, 2**64 - 1, 61, 61, 61, 61), "decrease"),
        (v1(6, 56, 61, 61, 61, 61, 61, rest=b"hello"), "no channel"),
        (v1(6, 56, 61, 61, 61, 61, 61, rest=b"\xff\xff\xff\xff\xff"), "UTF-8"),
    ],
)
def test_hostile_v1_frames_are_refused_by_name(frame: bytes, reason: str):
    with pytest.raises(BadFrameError, match=reason):
        frames.decode_v1(frame)


def read_all(data: bytes) -> None:
    for decode in (frames.decode_v1, frames.decode_numbered, frames.decode_json):
        with contextlib.suppress(BadFrameError):
            decode(data)
    with contextlib.suppress(BadFrameError):
        frames.decode_json(data.decode("utf-8", "replace"))


@settings(max_examples=500)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_else(data: bytes):
    read_all(data)


FRAMES = [
    frames.encode_v1("shell", [*MESSAGE, b"buffer"]),
    frames.encode_numbered(7, "iopub", MESSAGE),
    frames.encode_json("shell", [*MESSAGE, b"buffer"]),
    frames.encode_json("shell", MESSAGE).encode(),
]


@settings(max_examples=1000)
@given(st.sampled_from(FRAMES), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4), st.data())
def test_damaged_frames_raise_nothing_else(frame: bytes, flips: list[tuple[int, int]], data: st.DataObject):
    damaged = bytearray(frame)
    for place, value in flips:
        damaged[place % len(damaged)] ^= value
    read_all(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@pytest.mark.parametrize("text", ["[],", "{},", '"ab",', "0.1,", "0,"])
def test_reading_takes_a_small_multiple_of_the_frame(text: str):
    frame = '{"header": {"msg_id": "m"}, "content": {"x": [' + text * (900_000 // len(text)) + "0]}}"
    tracemalloc.start()
    with contextlib.suppress(BadFrameError):
        frames.decode_json(frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30 * len(frame)
