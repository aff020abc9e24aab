"""What a client's websocket speaks: Jupyter's JSON protocol, its v1, or v1 with the journal's numbers."""

import struct
from collections.abc import Iterable
from enum import StrEnum

from aiohttp import WSMsgType

from studiolo.gateway.base import Parts
from studiolo.gateway.messages.frames import (
    NUMBERED_PROTOCOL,
    V1_PROTOCOL,
    BadFrameError,
    decode_json,
    decode_v1,
    encode_json,
    head_v1,
)

# Pieces up to this size are joined with their neighbours.
SMALL_PIECE = 32 * 1024

_NUMBER = struct.Struct("<Q")
_FINAL = 0x80


class Protocol(StrEnum):
    """The websocket subprotocol that was agreed on; JSON is that of clients which name none."""

    JSON = ""
    V1 = V1_PROTOCOL
    NUMBERED = NUMBERED_PROTOCOL


# In this order, should a client offer several.
OFFERED = (NUMBERED_PROTOCOL, V1_PROTOCOL)


def seal(protocol: Protocol, number: int, channel: str, parts: Parts) -> list[bytes]:
    """Return a message as one websocket frame, unmasked and uncompressed: pieces to be written in a row.

    Layout: RFC 6455, section 5.2. Big parts are not copied, and may go to many clients.
    """
    if protocol is Protocol.JSON:
        frame = encode_json(channel, parts)
        if isinstance(frame, str):
            text = frame.encode()
            return together((_head(WSMsgType.TEXT, len(text)), text))
        return together((_head(WSMsgType.BINARY, len(frame)), frame))
    payload = [head_v1(channel, parts), *parts]
    if protocol is Protocol.NUMBERED:
        payload.insert(0, _NUMBER.pack(number))
    size = sum(map(len, payload))
    pieces = (_head(WSMsgType.BINARY, size), *payload)
    return [b"".join(pieces)] if size <= SMALL_PIECE else together(pieces)


def together(pieces: Iterable[bytes]) -> list[bytes]:
    """Join small pieces that follow each other, so that they cost one write; big ones stay as they are."""
    joined: list[bytes] = []
    small: list[bytes] = []
    for piece in pieces:
        if len(piece) <= SMALL_PIECE:
            small.append(piece)
            continue
        if small:
            joined.append(b"".join(small))
            small = []
        joined.append(piece)
    if small:
        joined.append(b"".join(small))
    return joined


def unseal(protocol: Protocol, data: str | bytes) -> tuple[str, list[bytes]]:
    """Return (channel, parts) of what a client sent; numbered clients send v1. Raises BadFrameError."""
    if protocol is Protocol.JSON:
        return decode_json(data)
    if isinstance(data, str):
        raise BadFrameError("this protocol has binary frames only")
    return decode_v1(data)


def _head(kind: WSMsgType, size: int) -> bytes:
    first = _FINAL | kind
    if size < 126:
        return struct.pack("!BB", first, size)
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)
