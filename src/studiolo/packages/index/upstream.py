"""Pages of one channel: fetched once for all who ask at a time, kept for a while, used longer while it is down."""

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass

import aiohttp

from studiolo.contract.errors import Unavailable
from studiolo.packages.index.channels import Channel
from studiolo.packages.index.projects import Project
from studiolo.packages.index.reading import ACCEPT, read_page
from studiolo.packages.index.sharing import Shared

_LARGEST_PAGE = 64 << 20
_MOST_KEPT_BYTES = 96 << 20
# What a page takes in memory once it is read, over its own size.
_SWELLING = 3
_EMPTY_BYTES = 500
# Larger ones are read in a thread, so that others get their answers meanwhile.
_LARGE = 256 << 10
# Nobody asks a channel that is down again at once.
_PAUSE_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kept:
    """A page, or None where the channel has no such project; `etag`: of the channel."""

    project: Project | None
    at: float
    etag: str | None
    size_bytes: int


class Upstream:
    """One channel's pages."""

    def __init__(self, channel: Channel, client: aiohttp.ClientSession, *, fresh_seconds: float) -> None:
        self.channel = channel
        self.client = client
        self._fresh = fresh_seconds
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size_bytes = 0
        self._asking: Shared[str, Project | None] = Shared()

    async def project(self, name: str, *, at_most_old: float | None = None) -> Project | None:
        """Return what the channel has of a project; None where it has none.

        `at_most_old`: seconds; by default what the setting says. Raises Unavailable (`packages-unavailable`).
        """
        kept = self._kept.get(name)
        age = self._fresh if at_most_old is None else at_most_old
        if kept is not None and time.monotonic() - kept.at <= age:
            self._kept.move_to_end(name)
            return kept.project
        return await self._asking.run(name, lambda: self._renew(name, kept))

    async def _renew(self, name: str, kept: _Kept | None) -> Project | None:
        try:
            found = await self._ask(name, kept)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            _log.warning("channel %s, page %s: %s", self.channel.name, name, repr(exc)[:300])
            if kept is None:
                raise self._unreachable(exc) from exc
            kept.at = time.monotonic() - max(0.0, self._fresh - _PAUSE_SECONDS)
            return kept.project
        self._keep(name, found)
        return found.project

    async def _ask(self, name: str, kept: _Kept | None) -> _Kept:
        headers = {"Accept": ACCEPT} | ({"If-None-Match": kept.etag} if kept and kept.etag else {})
        async with self.client.get(self.channel.page(name), headers=headers) as reply:
            if reply.status == 304 and kept is not None:
                return _Kept(kept.project, time.monotonic(), kept.etag, kept.size_bytes)
            # What PEP 792 calls quarantined, some indexes answer as gone.
            if reply.status in (404, 410):
                return _Kept(None, time.monotonic(), None, _EMPTY_BYTES)
            reply.raise_for_status()
            body = await _limited(reply)
            project = await self._read(name, body, reply.headers.get("Content-Type", "text/html"), str(reply.url))
            return _Kept(project, time.monotonic(), reply.headers.get("ETag"), len(body) * _SWELLING + _EMPTY_BYTES)

    async def _read(self, name: str, body: bytes, media_type: str, url: str) -> Project:
        channel = self.channel.name
        if len(body) < _LARGE:
            return read_page(name, channel, body, media_type=media_type, url=url)
        return await asyncio.to_thread(read_page, name, channel, body, media_type=media_type, url=url)

    def _keep(self, name: str, found: _Kept) -> None:
        if (earlier := self._kept.pop(name, None)) is not None:
            self._size_bytes -= earlier.size_bytes
        self._kept[name] = found
        self._size_bytes += found.size_bytes
        while self._size_bytes > _MOST_KEPT_BYTES and len(self._kept) > 1:
            self._size_bytes -= self._kept.popitem(last=False)[1].size_bytes

    def _unreachable(self, exc: BaseException) -> Unavailable:
        return Unavailable(
            "packages-unavailable",
            f"The package index of channel {self.channel.name} does not answer; nothing was taken from another one.",
            hint="Try again in a moment. If it stays so, tell an administrator.",
            detail=repr(exc)[:300],
        )


async def _limited(reply: aiohttp.ClientResponse) -> bytes:
    """Return the body. Raises ValueError for one that is too large."""
    pieces, size = [], 0
    async for piece in reply.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > _LARGEST_PAGE:
            raise ValueError("the page is too large")
    return b"".join(pieces)
