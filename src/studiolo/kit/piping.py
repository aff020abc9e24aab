"""From a function that writes to a program that reads: bytes made in a thread, taken by an event loop as it can."""

import asyncio
from collections.abc import AsyncGenerator, Callable

_PIECE = 256 << 10
_MOST_WAITING = 4


class Pipe:
    """What the function writes to. Its `write` waits for the reader, and raises BrokenPipeError once it has gone."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(_MOST_WAITING)
        self._gathered = bytearray()
        self._closed = False

    def write(self, data: bytes) -> int:
        """Take some bytes; returns how many."""
        self._gathered += data
        if len(self._gathered) >= _PIECE:
            self._pass_on()
        return len(data)

    def run(self, write: Callable[["Pipe"], None]) -> None:
        """Have `write` write all of it; in a thread."""
        try:
            write(self)
            if self._gathered:
                self._pass_on()
        finally:
            if not self._closed:
                self._put(b"")

    async def next(self) -> bytes:
        """Return the next piece; empty at the end."""
        return await self._pieces.get()

    def close(self) -> None:
        """Let the writer go: nobody reads any more."""
        self._closed = True
        while not self._pieces.empty():
            self._pieces.get_nowait()

    def _pass_on(self) -> None:
        if self._closed:
            raise BrokenPipeError("nobody reads any more")
        self._put(bytes(self._gathered))
        self._gathered.clear()

    def _put(self, piece: bytes) -> None:
        asyncio.run_coroutine_threadsafe(self._pieces.put(piece), self._loop).result()


async def piped(write: Callable[[Pipe], None]) -> AsyncGenerator[bytes, None]:
    """Yield in pieces what `write` writes in a thread; raises what it raises."""
    pipe = Pipe()
    work = asyncio.create_task(asyncio.to_thread(pipe.run, write))
    try:
        while piece := await pipe.next():
            yield piece
        await work
    finally:
        pipe.close()
        await asyncio.gather(work, return_exceptions=True)
