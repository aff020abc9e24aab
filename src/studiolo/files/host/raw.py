"""`GET raw/{path}`: a file's bytes, whole or a range, copied to the connection by the system (sendfile)."""

import asyncio
import base64
import hashlib
import io
import os
from email.utils import format_datetime
from urllib.parse import quote

from aiohttp import ETag, web
from aiohttp.http_writer import StreamWriter

from studiolo.contract.errors import Conflict, InvalidInput
from studiolo.files.host.asking import Ask
from studiolo.files.listing import etag_of, media_type, time_of
from studiolo.files.names import to_wire
from studiolo.files.root import Found

# Never a page of our origin, whatever is in the file.
SAFE = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
# One call of the system sends so much; between two, others get their turn.
_PIECE = 8 << 20
_BLOCK = 1 << 20


async def download(ask: Ask) -> web.StreamResponse:
    """Send a file, always as an attachment. Raises errors of Root, InvalidInput (`range-invalid`)."""
    async with ask.root() as root, root.awaited_file(ask.path) as found:
        return await _send(ask.request, found)


async def _send(request: web.Request, found: Found) -> web.StreamResponse:
    etag, name, size = etag_of(found.stat), to_wire(found.parts[-1]), found.stat.st_size
    headers = SAFE | {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Type": media_type(name),
        "Content-Disposition": attachment(name),
    }
    if modified_at := time_of(int(found.stat.st_mtime)):
        headers["Last-Modified"] = format_datetime(modified_at, usegmt=True)
    _check_unchanged(request, etag)
    if _has(request.if_none_match, etag):
        return web.Response(status=304, headers=headers)
    part = _range(request, size, etag)
    start, end = part or (0, size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    if "sha-256" in request.headers.get("Want-Repr-Digest", ""):
        headers["Repr-Digest"] = f"sha-256=:{await asyncio.to_thread(_digest, found.handle)}:"
    response = _Direct(status=206 if part else 200, headers=headers)
    response.content_length = end - start
    writer = await response.prepare(request)
    if request.method != "HEAD" and isinstance(writer, StreamWriter):
        await _copy(request, found.handle, start, end)
    await response.write_eof()
    return response


class _Direct(web.StreamResponse):
    """A response whose head leaves at once, since its body passes by the response."""

    _send_headers_immediately = True


async def _copy(request: web.Request, handle: int, start: int, end: int) -> None:
    loop = asyncio.get_running_loop()
    # The loop closes nothing: the handle stays the file's.
    with io.FileIO(os.dup(handle)) as file:
        while start < end:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the client is gone")
            sent = await loop.sendfile(request.transport, file, start, min(_PIECE, end - start))
            if not sent:
                # It has become shorter meanwhile: what was promised cannot be sent, and the client must see that.
                request.transport.abort()
                raise ConnectionResetError("the file was cut off")
            start += sent


def _digest(handle: int) -> str:
    """Return the SHA-256 of a whole open file in base64. Source: RFC 9530."""
    found, place = hashlib.sha256(), 0
    while block := os.pread(handle, _BLOCK, place):
        found.update(block)
        place += len(block)
    return base64.b64encode(found.digest()).decode()


def attachment(name: str) -> str:
    """Return a Content-Disposition that saves under a name of any script. Source: RFC 6266, 8187."""
    plain = "".join(c if 32 <= ord(c) < 127 and c not in '"\\%/' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _check_unchanged(request: web.Request, etag: str) -> None:
    if request.if_match is not None and not _has(request.if_match, etag):
        raise Conflict("file-changed", "The file has changed since you looked.", hint="Look again, then repeat.")


def _has(named: tuple[ETag, ...] | None, etag: str) -> bool:
    return bool(named) and any(one.value in ("*", etag.strip('"')) for one in named or ())


def _range(request: web.Request, size: int, etag: str) -> tuple[int, int] | None:
    """Return first byte and the one after the last; None: the whole, also where several ranges are asked for."""
    asked = request.headers.get("Range")
    condition = request.headers.get("If-Range")
    if asked is None or "," in asked or (condition is not None and condition != etag):
        return None
    try:
        found = request.http_range
    except ValueError as exc:
        raise _no_range(size) from exc
    start = found.start or 0
    if start < 0:
        start = max(0, size + start)
    end = size if found.stop is None else min(found.stop, size)
    if start >= end:
        raise _no_range(size)
    return start, end


def _no_range(size: int) -> InvalidInput:
    return InvalidInput("range-invalid", f"The file has {size} bytes; the range lies beyond.")
