"""The host's side of a kernel's spool: what the kernel keeps until the host has it in its journal.

The protocol is described in `studiolo.runtime.spool`.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studiolo.gateway.bridge.sockets import Frames

# A kernel that computes without letting its other threads run may take long to answer.
ANSWER_SECONDS = 60.0
# What was received is acknowledged after so long, or so much: a kernel keeps 32 MiB in memory before it uses its disk.
ACKNOWLEDGE_SECONDS = 0.1
ACKNOWLEDGE_BYTES = 1024 * 1024

_HEAD = struct.Struct("<QI")
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Dropped:
    """What the kernel kept no longer, up to `last`."""

    messages: int
    data_bytes: int
    last: int


class Spool:
    """A connection to one kernel's spool, made when first needed and again after it broke."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._number = 0
        self._waiting_bytes = 0

    async def fetch(self, *, after: int) -> AsyncIterator[Frames | Dropped]:
        """Yield what the kernel keeps behind a number of its own, oldest first. Raises OSError, EOFError."""
        reader, writer = await self._connect()
        writer.write(json.dumps({"after": after}).encode() + b"\n")
        is_whole = False
        try:
            while True:
                number, frames = await _read_record(reader)
                told: dict[str, Any] = {} if number else json.loads(frames[0])
                if "last" in told:
                    is_whole = True
                    return
                dropped = told.get("dropped")
                yield frames if dropped is None else Dropped(dropped["messages"], dropped["bytes"], dropped["to"])
        finally:
            if not is_whole:
                writer.close()

    def acknowledge(self, number: int, data_bytes: int) -> None:
        """Let the kernel forget all up to a number, soon. `data_bytes`: how much came since the last call."""
        self._number = number
        self._waiting_bytes += data_bytes
        if self._waiting_bytes > ACKNOWLEDGE_BYTES:
            self._acknowledge()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ACKNOWLEDGE_SECONDS, self._acknowledge)

    def close(self) -> None:
        """Close the connection; what was received is acknowledged first."""
        if self._writer is not None and self._timer is not None:
            self._acknowledge()
        if self._timer is not None:
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._writer is not None:
            self._writer.close()

    def _acknowledge(self) -> None:
        self._waiting_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(b'{"ack":%d}\n' % self._number)
        elif self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._acknowledge_anew())

    async def _acknowledge_anew(self) -> None:
        # Without its spool a kernel is one that ends; who notices is not this.
        with contextlib.suppress(OSError):
            _, writer = await self._connect()
            writer.write(b'{"ack":%d}\n' % self._number)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None or self._writer.is_closing() or self._reader.at_eof():
            self._reader, self._writer = await asyncio.open_unix_connection(self._path)
        return self._reader, self._writer


async def _read_record(reader: asyncio.StreamReader) -> tuple[int, Frames]:
    async with asyncio.timeout(ANSWER_SECONDS):
        number, count = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        frames = []
        for _ in range(count):
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            frames.append(await reader.readexactly(length))
        return number, frames
