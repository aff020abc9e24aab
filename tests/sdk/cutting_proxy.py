"""A TCP proxy that tests cut, and that loses what goes one way; in a thread of its own."""

import asyncio
import contextlib
import ssl
import threading
from typing import Self


class CuttingProxy:
    """Forwards a free loopback port to another. `accepts`: whether it does. `lost`: bytes that it swallowed.

    `tls`: what it speaks itself; the other side is spoken to in the clear.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.port = 0
        self.lost = 0
        self.connections = 0
        self.accepts = True
        self._loses = ""
        self._target = port
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def lose(self, way: str) -> None:
        """Swallow what goes `up` (to the service) or `down`, until told else."""
        self.lost, self._loses = 0, way

    def cut(self) -> None:
        """Drop all connections at once, whatever is under way."""
        self._call(self._cut())

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, action: object) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.accepts:
            writer.transport.abort()
            return
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, back}
        try:
            await asyncio.gather(self._carry("up", reader, back), self._carry("down", there, writer))
        finally:
            self._open -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _carry(self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if self._loses == way:
                    self.lost += len(data)
                    continue
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
