"""Kernel messages as they cross a websocket. Pure; nothing of Jupyter is needed here.

`v1.kernel.websocket.jupyter.org`, little-endian: the number n of offsets (8 bytes), n offsets (8 bytes each), the
channel's name, the parts: header, parent header, metadata, content, then any binary buffers. The offsets say where
channel and parts begin; the last one is the frame's length. `v1.numbered.studiolo`: a service puts the number of the
message in the kernel's journal (8 bytes, 0 for what is not journalled) before such a frame; clients send without.
Source: jupyter_server's websocket protocols; decision 005.
"""

import itertools
import json
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

PLAIN = "v1.kernel.websocket.jupyter.org"
NUMBERED = "v1.numbered.studiolo"
_VERSION = "5.4"
_WORD = 8


class BadFrameError(ValueError):
    """A frame is not what its protocol says; the message tells what is wrong."""


@dataclass(frozen=True)
class KernelMessage:
    """One message. `parts`: raw JSON of header, parent header, metadata, content, then buffers.

    `number`: its number in the kernel's journal, 0 for what is not journalled.
    """

    channel: str
    parts: Sequence[bytes]
    number: int = 0

    @cached_property
    def header(self) -> dict[str, Any]:
        return _object(self.parts[0])

    @cached_property
    def parent(self) -> dict[str, Any]:
        return _object(self.parts[1])

    @cached_property
    def content(self) -> dict[str, Any]:
        return _object(self.parts[3])

    @property
    def id(self) -> str:
        """The message's own id."""
        return str(self.header.get("msg_id", ""))

    @property
    def type(self) -> str:
        """The message type; empty where there is none."""
        return str(self.header.get("msg_type", ""))

    @property
    def parent_id(self) -> str:
        """The id of the request that caused it; empty where there is none."""
        return str(self.parent.get("msg_id", ""))


def request(
    channel: str,
    kind: str,
    content: Mapping[str, Any],
    *,
    session: str,
    username: str = "",
    parent: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> KernelMessage:
    """Make a message of ours, with a new id. `session`: the id of this client."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": kind,
        "session": session,
        "username": username,
        "date": datetime.now(UTC).isoformat(),
        "version": _VERSION,
    }
    members = (header, parent or {}, metadata or {}, content)
    return KernelMessage(channel, tuple(json.dumps(member).encode() for member in members))


def encode(message: KernelMessage) -> bytes:
    """Return the frame in which a client sends a message, the same in both protocols."""
    places = [message.channel.encode(), *message.parts]
    start = _WORD * (len(places) + 2)
    offsets = [start]
    for place in places:
        offsets.append(offsets[-1] + len(place))
    head = struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets)
    return b"".join((head, *places))


def decode(frame: bytes, protocol: str) -> KernelMessage:
    """Return the message in a frame. Raises BadFrameError for anything that is not one."""
    number = 0
    if protocol == NUMBERED:
        if len(frame) < _WORD:
            raise BadFrameError("it is shorter than its number")
        (number,) = struct.unpack_from("<Q", frame)
        frame = frame[_WORD:]
    if len(frame) < _WORD:
        raise BadFrameError("it is shorter than its count of offsets")
    (count,) = struct.unpack_from("<Q", frame)
    # Channel, four parts, and the end.
    if not 6 <= count <= len(frame) // _WORD - 1:
        raise BadFrameError(f"it cannot have {count} offsets")
    offsets = struct.unpack_from(f"<{count}Q", frame, _WORD)
    if offsets[0] != _WORD * (count + 1) or offsets[-1] > len(frame) or list(offsets) != sorted(offsets):
        raise BadFrameError("its offsets are not in order")
    places = [frame[start:end] for start, end in itertools.pairwise(offsets)]
    try:
        return KernelMessage(places[0].decode(), tuple(places[1:]), number)
    except UnicodeDecodeError as exc:
        raise BadFrameError("its channel is no UTF-8 text") from exc


def _object(raw: bytes) -> dict[str, Any]:
    try:
        held = json.loads(raw)
    except ValueError as exc:
        raise BadFrameError("a part is no JSON") from exc
    return held if isinstance(held, dict) else {}
