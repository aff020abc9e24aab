"""Messages as they cross a websocket: the JSON protocol, v1, and v1 with numbers.

Sources: "WebSocket kernel wire protocols" of Jupyter Server, its `services/kernels/connection/base.py`, and
`serialize.ts` of @jupyterlab/services. Byte layouts are drawn in docs/explanation/kernel-wire.md.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pydantic_core import from_json

from studiolo.contract.errors import InvalidInput
from studiolo.gateway.base import CHANNELS, Parts
from studiolo.gateway.messages.wire import JSON_PARTS, MOST_HEADER_BYTES, dump

V1_PROTOCOL = "v1.kernel.websocket.jupyter.org"
NUMBERED_PROTOCOL = "v1.numbered.studiolo"
# Of numbered clients only: what the journal itself says.
JOURNAL_CHANNEL = "journal"
MOST_PARTS = 10_000
# An empty list takes two bytes of text and fifty of memory.
MOST_CONTAINERS = 1_000_000

_NUMBER = struct.Struct("<Q")
_MEMBERS = ("header", "parent_header", "metadata", "content")


class BadFrameError(InvalidInput):
    """A websocket frame is not what its protocol says. `message` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__("kernel-frame-malformed", f"This is no frame of the kernel protocol: {reason}.")
        self.reason = reason


def head_v1(channel: str, parts: Parts) -> bytes:
    """Return what stands before the parts in a v1 frame, so that big parts can be written without a copy."""
    name = channel.encode()
    count = len(parts) + 2
    offset = 8 * (count + 1)
    offsets = [offset, offset := offset + len(name)]
    for part in parts:
        offset += len(part)
        offsets.append(offset)
    return struct.pack(f"<{count + 1}Q", count, *offsets) + name


def encode_v1(channel: str, parts: Parts) -> bytes:
    """Return a v1 frame.

    Layout, little-endian: count n (8 bytes), n offsets (8 bytes each) from the frame's start, channel, parts. The
    first offset is the channel's, the last is the frame's end; parts are header, parent header, metadata, content,
    then any buffers.
    """
    return b"".join((head_v1(channel, parts), *parts))


def decode_v1(data: bytes, *, channels: Sequence[str] = CHANNELS) -> tuple[str, list[bytes]]:
    """Return (channel, parts) of a v1 frame; layout: encode_v1. Raises BadFrameError."""
    if len(data) < 8:
        raise BadFrameError("it is too short")
    (count,) = _NUMBER.unpack_from(data)
    if not JSON_PARTS + 2 <= count <= MOST_PARTS + 2:
        raise BadFrameError(f"it has fewer than {JSON_PARTS} or more than {MOST_PARTS:,} parts")
    offsets = _read_offsets(data, f"<{count}Q", 8)
    name, *parts = (data[start:end] for start, end in pairwise(offsets))
    return _known_channel(_utf8(name), channels), parts


def encode_numbered(number: int, channel: str, parts: Parts) -> bytes:
    """Return a numbered frame: the journal's number (8 bytes, little-endian; 0: not journalled) and a v1 frame."""
    return b"".join((_NUMBER.pack(number), head_v1(channel, parts), *parts))


def decode_numbered(
    data: bytes, *, channels: Sequence[str] = (*CHANNELS, JOURNAL_CHANNEL)
) -> tuple[int, str, list[bytes]]:
    """Return (number, channel, parts) of a numbered frame. Raises BadFrameError."""
    if len(data) < 8:
        raise BadFrameError("it is too short")
    channel, parts = decode_v1(data[8:], channels=channels)
    return _NUMBER.unpack_from(data)[0], channel, parts


def encode_json(channel: str, parts: Parts) -> str | bytes:
    """Return a frame of the JSON protocol: text, or with buffers binary.

    The object has channel, header, msg_id, msg_type, parent_header, metadata, content and, in text, buffers (empty).
    Binary layout, big-endian: count n (4 bytes), n offsets (4 bytes each) from the frame's start, the object, the
    buffers. JSON parts are taken over as they are. Raises BadFrameError: a header that is no object, or a message
    beyond 4 GiB.
    """
    header, parent, metadata, content, *buffers = parts
    known = _read_object(header, "its header")
    ids = dump({"channel": channel, "msg_id": known.get("msg_id"), "msg_type": known.get("msg_type")})
    # nbclient reads msg_type beside the header, as jupyter_server sends it.
    text = b'%b,"header":%b,"parent_header":%b,"metadata":%b,"content":%b' % (
        ids[:-1],
        header,
        parent,
        metadata,
        content,
    )
    if not buffers:
        return (text + b',"buffers":[]}').decode("utf-8", "replace")
    pieces = [text + b"}", *buffers]
    offsets = [4 * (len(pieces) + 1)]
    for piece in pieces[:-1]:
        offsets.append(offsets[-1] + len(piece))
    try:
        table = struct.pack(f"!{len(pieces) + 1}I", len(pieces), *offsets)
    except struct.error:
        raise BadFrameError("it is longer than 4 GiB") from None
    return b"".join((table, *pieces))


def decode_json(data: str | bytes, *, channels: Sequence[str] = CHANNELS) -> tuple[str, list[bytes]]:
    """Return (channel, parts) of a frame of the JSON protocol; layout: encode_json. Raises BadFrameError.

    As in jupyter_server, a missing channel is shell, and only the header is required. Objects nested deeper than
    about 200 are refused.
    """
    buffers: list[bytes] = []
    text: str | bytes = data
    if isinstance(data, bytes):
        text, *buffers = _split_binary(data)
    if _count_containers(text) > MOST_CONTAINERS:
        raise BadFrameError(f"it has more than {MOST_CONTAINERS:,} brackets")
    message = _read_object(text, "it")
    header = message.get("header")
    if not isinstance(header, dict) or not header:
        raise BadFrameError("its header is missing")
    if message.get("buffers"):
        raise BadFrameError("buffers travel in binary frames")
    parts = [_dump_member(message, name) for name in _MEMBERS]
    if len(parts[0]) > MOST_HEADER_BYTES:
        raise BadFrameError(f"its header is longer than {MOST_HEADER_BYTES:,} bytes")
    channel = message.get("channel")
    return _known_channel("shell" if channel is None else channel, channels), [*parts, *buffers]


def _split_binary(data: bytes) -> list[bytes]:
    if len(data) < 4:
        raise BadFrameError("it is too short")
    (count,) = struct.unpack_from("!I", data)
    if not 1 <= count <= MOST_PARTS:
        raise BadFrameError(f"it has no or more than {MOST_PARTS:,} parts")
    offsets = [*_read_offsets(data, f"!{count}I", 4), len(data)]
    return [data[start:end] for start, end in pairwise(offsets)]


def _read_offsets(data: bytes, layout: str, begin: int) -> tuple[int, ...]:
    """Read a table of offsets at `begin`; they may not decrease, reach into the table or leave the frame."""
    end = begin + struct.calcsize(layout)
    if end > len(data):
        raise BadFrameError("it ends within its table of offsets")
    offsets: tuple[int, ...] = struct.unpack_from(layout, data, begin)
    if offsets[0] < end or offsets[-1] > len(data):
        raise BadFrameError("an offset leaves it")
    if any(first > second for first, second in pairwise(offsets)):
        raise BadFrameError("its offsets decrease")
    return offsets


def _count_containers(text: str | bytes) -> int:
    if isinstance(text, str):
        return text.count("[") + text.count("{")
    return text.count(b"[") + text.count(b"{")


def _read_object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        value = from_json(text, allow_inf_nan=False)
    # TypeError: text with half a surrogate pair.
    except (TypeError, ValueError):
        raise BadFrameError(f"{what} is no JSON, or nested too deep") from None
    if not isinstance(value, dict):
        raise BadFrameError(f"{what} is no JSON object")
    return value


def _dump_member(message: dict[str, Any], name: str) -> bytes:
    value = message.get(name)
    if value is None:
        return b"{}"
    if not isinstance(value, dict):
        raise BadFrameError(f"{name} is no object")
    try:
        return dump(value)
    except ValueError:
        raise BadFrameError(f"{name} has a number that JSON does not have") from None


def _utf8(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise BadFrameError("its channel's name is not UTF-8") from None


def _known_channel(channel: Any, channels: Sequence[str]) -> str:
    if not isinstance(channel, str) or channel not in channels:
        raise BadFrameError(f"there is no channel {str(channel)[:32]!r}")
    return channel
