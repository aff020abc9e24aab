"""Uploads by tus 1.0.0, with its extensions creation, creation-with-upload, checksum, termination and expiration.

Members of Upload-Metadata: `path`; `overwrite` (present: yes), `if-match`, `sha256` (of the whole, hexadecimal),
`modified` (seconds since 1970). Source: tus.io, resumable upload protocol 1.0.0.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import math
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

from aiohttp import web

from studiolo.contract.errors import Conflict, InvalidInput
from studiolo.contract.long_files import WriteBehind
from studiolo.files.host.asking import Ask
from studiolo.files.refusals import refusal
from studiolo.files.uploads.store import Uploads, mismatch
from studiolo.files.uploads.upload import Upload, Wish

VERSION = "1.0.0"
_EXTENSIONS = "creation,creation-with-upload,checksum,termination,expiration"
# The protocol demands the first, clients of ours send the second.
_CHECKSUMS = ("sha1", "sha256")
_TYPE = "application/offset+octet-stream"
_BLOCK = 4 << 20
_MOST_BYTES = 1 << 50
_MOST_METADATA = 16 << 10


async def describe(ask: Ask) -> web.Response:
    """`OPTIONS uploads`: what is possible."""
    headers = {"Tus-Version": VERSION, "Tus-Extension": _EXTENSIONS, "Tus-Checksum-Algorithm": ",".join(_CHECKSUMS)}
    return web.Response(status=204, headers=headers | {"Tus-Resumable": VERSION})


async def create(ask: Ask) -> web.Response:
    """`POST uploads`: announce an upload, and send its first bytes or all of them."""
    _check_version(ask.request)
    wish = _read_wish(ask.request)
    async with _uploads(ask) as uploads:
        upload = await uploads.root.in_thread(uploads.begin, wish, ask.caller.person, datetime.now(UTC))
        place = f"{ask.request.path.rstrip('/')}/{upload.id}"
        offset = 0
        if ask.request.headers.get("Content-Type") == _TYPE:
            async with _only_writer(ask, upload.id):
                offset = await _receive(ask, uploads, upload, 0)
        headers = await _finish_if_whole(ask, uploads, upload, offset)
    return web.Response(status=201, headers=headers | {"Location": place})


async def look(ask: Ask) -> web.Response:
    """`HEAD uploads/{id}`: how far it is. A whole one that a kill left unplaced is placed."""
    _check_version(ask.request)
    async with _only_writer(ask, ask.path), _uploads(ask) as uploads:
        upload, offset = await uploads.root.in_thread(uploads.find, ask.path, ask.caller.person)
        headers = await _finish_if_whole(ask, uploads, upload, offset)
    return web.Response(headers=headers | {"Upload-Length": str(upload.wish.size), "Cache-Control": "no-store"})


async def receive(ask: Ask) -> web.Response:
    """`PATCH uploads/{id}`: more bytes, from Upload-Offset on."""
    _check_version(ask.request)
    if ask.request.headers.get("Content-Type") != _TYPE:
        raise _protocol(f"Bytes of an upload come as {_TYPE}.")
    # A connection that broke may look alive for long: whoever comes back takes over.
    async with _only_writer(ask, ask.path), _uploads(ask) as uploads:
        upload, offset = await uploads.root.in_thread(uploads.find, ask.path, ask.caller.person)
        if _number(ask.request, "Upload-Offset") != offset:
            raise Conflict(
                "upload-offset",
                f"The upload stands at byte {offset}.",
                hint="Ask with HEAD where it stands, and go on from there.",
                offset=offset,
            )
        offset = await _receive(ask, uploads, upload, offset)
        headers = await _finish_if_whole(ask, uploads, upload, offset)
    return web.Response(status=204, headers=headers)


async def give_up(ask: Ask) -> web.Response:
    """`DELETE uploads/{id}`: forget it."""
    _check_version(ask.request)
    async with _only_writer(ask, ask.path), _uploads(ask) as uploads:
        upload, _ = await uploads.root.in_thread(uploads.find, ask.path, ask.caller.person)
        await uploads.root.in_thread(uploads.remove, upload)
    return web.Response(status=204, headers={"Tus-Resumable": VERSION})


@contextlib.asynccontextmanager
async def _uploads(ask: Ask) -> AsyncIterator[Uploads]:
    async with ask.root() as root:
        uploads = Uploads(root)
        await root.in_thread(uploads.__enter__)
        try:
            yield uploads
        finally:
            uploads.__exit__()


@contextlib.asynccontextmanager
async def _only_writer(ask: Ask, upload_id: str) -> AsyncIterator[None]:
    """End whoever receives bytes of this upload, and be the one."""
    writers, mine = ask.services.writers, asyncio.current_task()
    assert mine is not None
    while (earlier := writers.get(upload_id)) is not None and earlier is not mine:
        earlier.cancel()
        await asyncio.wait([earlier])
    writers[upload_id] = mine
    try:
        yield
    finally:
        if writers.get(upload_id) is mine:
            del writers[upload_id]


async def _receive(ask: Ask, uploads: Uploads, upload: Upload, offset: int) -> int:
    """Take the request's bytes; return how many of the whole are here. What came before a break stays.

    With a checksum all of the request's bytes count, or none.
    """
    wanted = _checksum(ask.request)
    if wanted is not None:
        upload = await uploads.root.in_thread(uploads.mark, upload, unverified=offset)
    with uploads.open_data(upload, offset) as handle:
        taken = _Taken(handle, upload.wish, offset, wanted.begin() if wanted is not None else None)
        try:
            await taken.take_all(ask.request)
        except (ConnectionError, web.RequestPayloadError) as exc:
            raise Conflict("upload-offset", "The connection broke; the upload can go on.") from exc
        if wanted is not None and not (taken.digest and hmac.compare_digest(taken.digest.digest(), wanted.digest)):
            await asyncio.to_thread(os.ftruncate, handle, offset)
            raise mismatch()
    if wanted is not None:
        await uploads.root.in_thread(uploads.mark, upload, unverified=None)
    return taken.offset


class _Checksum(NamedTuple):
    """What the bytes of a request shall come to."""

    kind: str
    digest: bytes

    def begin(self) -> "hashlib._Hash":
        return hashlib.new(self.kind, usedforsecurity=False)


class _Taken:
    """Bytes on their way to a file: gathered into blocks, written in a thread while the next one comes."""

    def __init__(self, handle: int, wish: Wish, offset: int, digest: "hashlib._Hash | None") -> None:
        self._handle = handle
        self._behind = WriteBehind(handle, offset)
        self._wish = wish
        self._written = offset
        self.offset = offset
        self.digest = digest
        self._block: list[bytes] = []
        self._size = 0

    async def take_all(self, request: web.Request) -> None:
        """Write all bytes of a request. Raises ConnectionError, Unavailable (`disk-full`), InvalidInput."""
        writing: asyncio.Future[None] | None = None
        try:
            async for piece in request.content.iter_any():
                self._block.append(piece)
                self._size += len(piece)
                if self.offset + self._size > self._wish.size:
                    raise _protocol(f"More bytes come than the {self._wish.size} that were announced.")
                if self._size >= _BLOCK:
                    if writing is not None:
                        await writing
                    writing = self._begin()
        finally:
            # Also of a connection that broke: what has come is not asked for again.
            if writing is not None:
                await asyncio.wait([writing])
                writing.result()
            if self._size and self.offset + self._size <= self._wish.size:
                self._write(self._pop())

    def _begin(self) -> asyncio.Future[None]:
        return asyncio.ensure_future(asyncio.to_thread(self._write, self._pop()))

    def _pop(self) -> list[bytes]:
        block, self._block, size = self._block, [], self._size
        self.offset += size
        self._size = 0
        return block

    def _write(self, block: list[bytes]) -> None:
        # One piece: each call that lets other threads run costs as much as copying a hundred KiB.
        rest = memoryview(b"".join(block))
        if self.digest is not None:
            self.digest.update(rest)
        try:
            while rest:
                written = os.write(self._handle, rest)
                self._written, rest = self._written + written, rest[written:]
            self._behind.reached(self._written)
        except OSError as exc:
            raise refusal(exc, self._wish.path) from exc


async def _finish_if_whole(ask: Ask, uploads: Uploads, upload: Upload, offset: int) -> dict[str, str]:
    """Place an upload that is whole: checked, recorded, renamed. Returns the headers that say how it stands."""
    headers = {
        "Tus-Resumable": VERSION,
        "Upload-Offset": str(offset),
        "Upload-Expires": format_datetime(upload.expires_at, usegmt=True),
    }
    if offset == upload.wish.size and not await uploads.root.in_thread(uploads.is_placed, upload):
        await uploads.root.in_thread(uploads.verify, upload)
        overwrote = await uploads.root.in_thread(uploads.check, upload.wish)
        told = {"id": upload.id, "path": upload.wish.path, "size": upload.wish.size, "overwrote": overwrote}
        await ask.services.control.record_upload(ask.caller, told)
        headers["ETag"] = await uploads.root.in_thread(uploads.place, upload)
    return headers


def _check_version(request: web.Request) -> None:
    if request.headers.get("Tus-Resumable") != VERSION:
        raise _protocol(f"Uploads speak tus {VERSION}: send the header Tus-Resumable: {VERSION}.")


def _read_wish(request: web.Request) -> Wish:
    size = _number(request, "Upload-Length")
    named = _metadata(request)
    if "path" not in named:
        raise _protocol("Upload-Metadata names no path.")
    digest, modified = named.get("sha256"), named.get("modified")
    try:
        if digest is not None and len(bytes.fromhex(digest)) != hashlib.sha256().digest_size:
            raise ValueError(digest)
        return Wish(
            path=named["path"],
            size=size,
            overwrite="overwrite" in named,
            if_match=named.get("if-match"),
            sha256=digest,
            modified=None if modified is None else _seconds(modified),
        )
    except ValueError as exc:
        raise _protocol("Upload-Metadata: sha256 has 64 hexadecimal digits, modified is a number.") from exc


def _metadata(request: web.Request) -> dict[str, str]:
    text = request.headers.get("Upload-Metadata", "")
    if len(text) > _MOST_METADATA:
        raise _protocol("Upload-Metadata is too long.")
    found = {}
    try:
        for member in filter(None, map(str.strip, text.split(","))):
            name, _, value = member.partition(" ")
            found[name] = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError) as exc:
        raise _protocol("Upload-Metadata is no list of names and base64 values.") from exc
    return found


def _seconds(text: str) -> float:
    if not math.isfinite(seconds := float(text)):
        raise ValueError(text)
    return seconds


def _checksum(request: web.Request) -> _Checksum | None:
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    kind, _, value = text.partition(" ")
    if kind not in _CHECKSUMS:
        raise _protocol(f"Checksums of parts are {' or '.join(_CHECKSUMS)}.")
    try:
        return _Checksum(kind, base64.b64decode(value, validate=True))
    except binascii.Error as exc:
        raise _protocol("Upload-Checksum is no base64.") from exc


def _number(request: web.Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and int(text) <= _MOST_BYTES):
        raise _protocol(f"{header} is missing or no number of bytes.")
    return int(text)


def _protocol(message: str) -> InvalidInput:
    return InvalidInput("upload-protocol", message, hint="See the how-to about files for the protocol.")
