"""A quick upstream for the front door's benchmark, the same for both contenders: `_upstream.py SOCKET PORT`.

Listens on a unix socket and on loopback; answers paths that end in `/large` with 1 MiB, others with a small reply.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import cast

import uvloop

SMALL_BYTES = 64
LARGE_BYTES = 1 << 20


def _reply(size: int) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + b"x" * size


class Upstream(asyncio.Protocol):
    """One connection; requests without bodies, one after the other."""

    _small, _large = _reply(SMALL_BYTES), _reply(LARGE_BYTES)

    def __init__(self) -> None:
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        if data.startswith(b"POST "):
            self._open_shortcut()
            return
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for request in requests:
            is_large = request.split(b" ", 2)[1].endswith(b"/large")
            self._transport.write(self._large if is_large else self._small)

    def _open_shortcut(self) -> None:
        """Do as a session does when the platform lets somebody in: serve them on a socket of their own."""
        folder = Path(sys.argv[1]).with_suffix("")
        folder.mkdir(exist_ok=True)
        body = json.dumps({"socket": str(folder / "shortcut")}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"

        async def answer() -> None:
            await asyncio.get_running_loop().create_unix_server(Upstream, folder / "shortcut")
            self._transport.write(head.encode() + body)

        self._task = asyncio.ensure_future(answer())


async def _serve(socket: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    async with await loop.create_unix_server(Upstream, socket), await loop.create_server(Upstream, "127.0.0.1", port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
