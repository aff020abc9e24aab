"""`GET zip?path=…&path=…`: files and folders as one archive, made while it is sent."""

import asyncio

from aiohttp import web

from studiolo.contract.errors import InvalidInput
from studiolo.files.archives import top_name, write_zip
from studiolo.files.host.asking import Ask
from studiolo.files.host.raw import SAFE, attachment
from studiolo.files.names import parts_of, to_wire

_PIECE = 256 << 10
_MOST_PATHS = 1000


async def download(ask: Ask) -> web.StreamResponse:
    """Send an archive; without `path` of the whole workspace. Raises errors of Root before the first byte."""
    paths = ask.request.query.getall("path", [""])
    if len(paths) > _MOST_PATHS:
        raise InvalidInput(
            "request-too-large",
            f"{len(paths)} paths are too many for one archive; {_MOST_PATHS} may be named.",
            hint="Name their folder instead.",
        )
    name = to_wire(top_name(paths[0])) if len(paths) == 1 else ""
    for path in paths:
        parts_of(path)
    headers = SAFE | {"Content-Type": "application/zip", "Content-Disposition": attachment(f"{name or 'files'}.zip")}
    response = web.StreamResponse(headers=headers)
    async with ask.root() as root:
        sink = _Sink(ask.request, response)
        try:
            await root.in_thread(write_zip, root, paths, sink)
        except BaseException:
            sink.close()
            if response.prepared and ask.request.transport is not None:
                # Half an archive must not look like a whole one.
                ask.request.transport.abort()
            raise
        await sink.end()
    return response


class _Sink:
    """Takes bytes in a thread and sends them from the loop, no faster than the client takes them."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._request = request
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._closed = False

    def write(self, data: bytes) -> int:
        """Take some bytes. Raises ConnectionError when the client is gone."""
        self._waiting += data
        if len(self._waiting) >= _PIECE:
            asyncio.run_coroutine_threadsafe(self._send(), self._loop).result()
        return len(data)

    async def end(self) -> None:
        """Send what is left, and the end."""
        await self._send()
        await self._response.write_eof()

    def close(self) -> None:
        """Have the thread stop at its next write."""
        self._closed = True

    async def _send(self) -> None:
        if self._closed:
            raise ConnectionResetError("the client is gone")
        if not self._response.prepared:
            await self._response.prepare(self._request)
        data, self._waiting = bytes(self._waiting), bytearray()
        await self._response.write(data)
