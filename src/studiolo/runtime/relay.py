"""Carries connections of a workload without a network to the platform's unix socket, bytes as they are.

The standard library only; asyncio is imported by whoever carries, since shims do without it.
"""

import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import Server, StreamReader, StreamWriter

_CHUNK_BYTES = 64 * 1024


async def serve(path: str, *, port: int = 0, listener: socket.socket | None = None) -> "Server":
    """Take connections at 127.0.0.1:`port`, or by `listener`, and carry each to the unix socket `path`.

    Raises OSError.
    """
    import asyncio

    async def carry(reader: "StreamReader", writer: "StreamWriter") -> None:
        await _carry(reader, writer, path)

    if listener is not None:
        return await asyncio.start_server(carry, sock=listener)
    return await asyncio.start_server(carry, "127.0.0.1", port)


def run(path: str, listener: socket.socket) -> None:
    """Carry what `listener` takes, for good: a process's whole work."""
    import asyncio

    async def forever() -> None:
        async with await serve(path, listener=listener) as server:
            await server.serve_forever()

    asyncio.run(forever())


async def _carry(reader: "StreamReader", writer: "StreamWriter", path: str) -> None:
    import asyncio

    try:
        far_reader, far_writer = await asyncio.open_unix_connection(path)
    except OSError as exc:
        sys.stderr.write(f"The platform cannot be reached: {exc}\n")
        writer.close()
        return
    try:
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
    finally:
        writer.close()
        far_writer.close()


async def _pump(reader: "StreamReader", writer: "StreamWriter") -> None:
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except OSError:
        # One side is gone; the other is told by the end of its own direction.
        writer.close()
