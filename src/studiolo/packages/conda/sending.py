"""How a view of a channel leaves: as a whole in two forms, as an index of shards, and shard by shard."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web
from backports import zstd

from studiolo.contract.errors import NotFound
from studiolo.packages.conda.views import View

BINARY = "application/octet-stream"
_JSON = "application/json"
_CHUNK = 1 << 20
# Clients ask each time whether it is still so: an approval and a block take effect at once.
_ASK_AGAIN = {"Cache-Control": "no-cache"}
FOR_EVER = {"Cache-Control": "private, immutable, max-age=31536000"}
SHARDS = "shards/"
_SHARD_ENDING = ".msgpack.zst"


async def send_of_view(request: web.Request, view: View, file: str) -> web.StreamResponse:
    """Send one of `FORMS` or a shard. Raises NotFound for a shard that the view has not."""
    if file.startswith(SHARDS):
        shard = await asyncio.to_thread(view.read_shard, file.removeprefix(SHARDS).removesuffix(_SHARD_ENDING))
        if shard is None or not file.endswith(_SHARD_ENDING):
            raise not_served()
        return web.Response(body=shard, content_type=BINARY, headers=FOR_EVER)
    tag = {"ETag": f'"{view.key}"', **_ASK_AGAIN}
    if any(match.value == view.key for match in request.if_none_match or ()):
        return web.Response(status=304, headers=tag)
    return await FORMS[file](request, view, tag)


async def _send_index(request: web.Request, view: View, headers: dict[str, str]) -> web.StreamResponse:
    return await _send_file(request, view.shards_index, headers)


async def _send_packed(request: web.Request, view: View, headers: dict[str, str]) -> web.StreamResponse:
    return await _send_file(request, view.repodata, headers)


async def _send_plain(request: web.Request, view: View, headers: dict[str, str]) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Type": _JSON, **headers})
    await reply.prepare(request)
    if request.method != "HEAD":
        pieces = _unpacked(view.repodata)
        while piece := await asyncio.to_thread(next, pieces, b""):
            await reply.write(piece)
    await reply.write_eof()
    return reply


async def _send_file(request: web.Request, path: Path, headers: dict[str, str]) -> web.StreamResponse:
    # Not as a FileResponse: that has an ETag of its own, of the file's time.
    with path.open("rb") as file:
        reply = web.StreamResponse(headers={"Content-Type": BINARY, **headers})
        reply.content_length = os.fstat(file.fileno()).st_size
        await reply.prepare(request)
        while request.method != "HEAD" and (piece := await asyncio.to_thread(file.read, _CHUNK)):
            await reply.write(piece)
    await reply.write_eof()
    return reply


FORMS = {
    "repodata.json": _send_plain,
    "repodata.json.zst": _send_packed,
    "repodata_shards.msgpack.zst": _send_index,
}


def _unpacked(path: Path) -> Iterator[bytes]:
    with zstd.ZstdFile(path) as file:
        while piece := file.read(_CHUNK):
            yield piece


def not_served() -> NotFound:
    """Return the error for what is not in a view, or is no file of a channel that is served."""
    return NotFound(
        "package-not-found",
        "The index has no such file.",
        hint="It serves repodata.json, repodata.json.zst, repodata_shards.msgpack.zst, shards and archives.",
    )
