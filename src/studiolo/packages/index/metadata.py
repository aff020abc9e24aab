"""Metadata beside wheels (PEP 658): the upstream's, else made from the wheel, kept by the wheel's digest."""

import asyncio
import hashlib
import re
from collections import OrderedDict
from pathlib import Path

import aiohttp

from studiolo.contract.errors import Unavailable
from studiolo.kit.files import write_atomically
from studiolo.packages.index.blobs import Blobs
from studiolo.packages.index.projects import File
from studiolo.packages.index.sharing import Shared
from studiolo.packages.index.wheels import TAIL_BYTES, NotAWheel, fetch_metadata, metadata_of

_MOST_BYTES = 8 << 20
_MOST_KEPT_BYTES = 16 << 20
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")


class _NoRanges(Exception):
    """The upstream sends whole files only."""


class Metadata:
    """METADATA of wheels, in memory, in a folder, from wherever it is."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._blobs = blobs
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size_bytes = 0
        self._making: Shared[str, bytes] = Shared()

    async def get(self, client: aiohttp.ClientSession, file: File) -> bytes:
        """Return a wheel's METADATA. Raises Unavailable (`packages-unavailable`, `package-damaged`)."""
        key = file.sha256 or hashlib.sha256(file.url.encode()).hexdigest()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        return await self._making.run(key, lambda: self._find(client, file, key))

    async def close(self) -> None:
        """Give up what is being made."""
        await self._making.close()

    async def _find(self, client: aiohttp.ClientSession, file: File, key: str) -> bytes:
        path = self._folder / key
        try:
            found = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            found = await self._make(client, file)
            await asyncio.to_thread(write_atomically, path, found)
        self._kept[key] = found
        self._size_bytes += len(found)
        while self._size_bytes > _MOST_KEPT_BYTES:
            self._size_bytes -= len(self._kept.popitem(last=False)[1])
        return found

    async def _make(self, client: aiohttp.ClientSession, file: File) -> bytes:
        try:
            if file.sha256 and (blob := self._blobs.find(file.sha256)):
                return await asyncio.to_thread(metadata_of, blob)
            if file.metadata and (found := await self._ask(client, file)):
                return found
            try:
                return await self._by_ranges(client, file)
            except _NoRanges:
                download = self._blobs.fetch(client, file.url, sha256=file.sha256)
                return await asyncio.to_thread(metadata_of, await download.whole())
        except NotAWheel as exc:
            raise Unavailable("package-damaged", f"{file.name} is no wheel that can be read.", detail=str(exc)) from exc
        except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError, OSError) as exc:
            raise Unavailable(
                "packages-unavailable",
                f"The package index did not send the metadata of {file.name}.",
                hint="Try again in a moment.",
                detail=repr(exc)[:300],
            ) from exc

    async def _ask(self, client: aiohttp.ClientSession, file: File) -> bytes | None:
        """Return what the upstream has beside the wheel; None for what is not what it says."""
        async with client.get(f"{file.url}.metadata") as reply:
            if reply.status != 200:
                return None
            found = await reply.content.read(_MOST_BYTES)
            while not reply.content.at_eof() and len(found) < _MOST_BYTES:
                found += await reply.content.read(_MOST_BYTES - len(found))
        is_right = file.metadata is True or hashlib.sha256(found).hexdigest() == file.metadata
        return found if is_right else None

    async def _by_ranges(self, client: aiohttp.ClientSession, file: File) -> bytes:
        async def fetch(start: int, end: int) -> bytes:
            return (await self._part(client, file, f"{start}-{end - 1}"))[1]

        size, tail = await self._part(client, file, f"-{TAIL_BYTES}")
        return await fetch_metadata(size, tail, fetch)

    async def _part(self, client: aiohttp.ClientSession, file: File, which: str) -> tuple[int, bytes]:
        """Return the size of the whole, and a part. Raises _NoRanges."""
        headers = {"Range": f"bytes={which}", "Accept-Encoding": "identity"}
        async with client.get(file.url, headers=headers) as reply:
            told = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", ""))
            if reply.status != 206 or told is None:
                raise _NoRanges
            length = int(told[2]) - int(told[1]) + 1
            if length > _MOST_BYTES:
                raise _NoRanges
            return int(told[3]), await reply.content.readexactly(length)
