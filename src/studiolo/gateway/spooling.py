"""The host's side of a kernel's spool: what the kernel keeps until the host has it in its journal.

The protocol is described in `studiolo.runtime.spool`.
"""

import asyncio
import contextlib
import struct
from dataclasses import dataclass
from pathlib import Path

from studiolo.gateway.sockets import Frames

FETCH_SECONDS = 30.0
# How long what was received may wait to be acknowledged.
ACKNOWLEDGE_SECONDS = 0.05
MOST_FRAME_BYTES = 1024 * 1024 * 1024

_SIZE = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Dropped:
    """What the kernel kept no longer."""

    messages: int
    data_bytes: int


class Spool:
    """A connection to one kernel's spool, made when first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._acknowledging: asyncio.TimerHandle | None = None
        self._number = 0

    async def fetch(self, *, after: int) -> list[Frames | Dropped]:
        """Return what the kernel keeps behind a number of its own. Raises OSError."""
        raise OSError("not yet")

    def acknowledge(self, number: int) -> None:
        """Let the kernel forget all up to a number, soon."""
        self._number = number

    def close(self) -> None:
        """Close the connection."""
        if self._acknowledging is not None:
            self._acknowledging.cancel()
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection[1].close()
