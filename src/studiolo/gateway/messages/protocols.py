"""What a client's websocket speaks: Jupyter's JSON protocol, its v1, or v1 with the journal's numbers."""

import struct
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

_NUMBER = struct.Struct("<Q")
_FINAL = 0x80


class Protocol(StrEnum):
    """The websocket subprotocol that was agreed on; JSON is that of clients which name none."""

    JSON = ""
    V1 = V1_PROTOCOL
    NUMBERED = NUMBERED_PROTOCOL


# In this order, should a client offer several.
OFFERED = (NUMBERED_PROTOCOL, V1_PROTOCOL)


def seal(protocol: Protocol, number: int, channel: str, parts: Parts) -> bytes:
    """Return a message as one websocket frame, ready to be written: unmasked, uncompressed, in one piece.

    Layout: RFC 6455, section 5.2. The payload is copied once, whatever its size, and may go to many clients.
    """
    if protocol is Protocol.JSON:
        frame = encode_json(channel, parts)
        if isinstance(frame, str):
            text = frame.encode()
            return _head(WSMsgType.TEXT, len(text)) + text
        return _head(WSMsgType.BINARY, len(frame)) + frame
    payload = [head_v1(channel, parts), *parts]
    if protocol is Protocol.NUMBERED:
        payload.insert(0, _NUMBER.pack(number))
    return b"".join((_head(WSMsgType.BINARY, sum(map(len, payload))), *payload))


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
