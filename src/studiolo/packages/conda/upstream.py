"""A channel's own files: repodata kept on the disk and asked for again after a while, archives as a stream."""

import asyncio
import hashlib
import json
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import aiohttp

from studiolo.contract.errors import NotFound, Unavailable
from studiolo.kit.files import write_atomically
from studiolo.packages.index.channels import make_channel
from studiolo.packages.index.egress import channel_session

_FORMS = ("repodata.json.zst", "repodata.json")
_CHUNK = 1 << 18
_MOST_BYTES = 1 << 30
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a kept file; `checked_at` in seconds of the clock (`time.time`)."""

    digest: str
    checked_at: float
    form: str
    etag: str
    modified: str


class Upstream:
    """Reads channels. `folder`: where repodata are kept; `fresh_seconds`: how long one is used without asking."""

    def __init__(self, folder: Path, *, fresh_seconds: float) -> None:
        self._folder = folder
        self._fresh_seconds = fresh_seconds
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Close connections."""
        for session in self._sessions.values():
            await session.close()

    async def repodata(self, address: str, subdir: str) -> tuple[Path, str]:
        """Return the kept file, plain or zstd, and its SHA-256. One asks and the others wait.

        Raises NotFound (`package-not-found`) if the channel has no such folder, Unavailable (`packages-unavailable`)
        without an answer, where there is no older one to go on with.
        """
        url = f"{address}/{subdir}"
        place = self._folder / hashlib.sha256(url.encode()).hexdigest()[:32]
        async with self._locks[place]:
            kept = await asyncio.to_thread(_read_kept, place)
            if kept is None or not 0 <= time.time() - kept.checked_at < self._fresh_seconds:
                kept = await self._renew(url, place, kept)
        return place / kept.digest, kept.digest

    @asynccontextmanager
    async def archive(self, address: str, subdir: str, file: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the content of an archive, in pieces. Raises as `repodata` does."""
        async with self._get(f"{address}/{subdir}/{file}", {}) as reply:
            if reply.status != HTTPStatus.OK:
                raise _refused(reply)
            yield reply.content.iter_chunked(_CHUNK)

    async def _renew(self, url: str, place: Path, kept: Kept | None) -> Kept:
        try:
            renewed = await self._ask(url, place, kept)
        except Unavailable as exc:
            if kept is None:
                raise
            _log.warning("An older repodata of %s is used: %s", url, exc.detail or exc.message)
            return kept
        await asyncio.to_thread(_write_kept, place, renewed)
        return renewed

    async def _ask(self, url: str, place: Path, kept: Kept | None) -> Kept:
        for form in _FORMS:
            asked = _conditions(kept) if kept is not None and kept.form == form else {}
            async with self._get(f"{url}/{form}", asked) as reply:
                if reply.status == HTTPStatus.NOT_MODIFIED and kept is not None:
                    return Kept(kept.digest, time.time(), form, kept.etag, kept.modified)
                if reply.status == HTTPStatus.NOT_FOUND:
                    continue
                if reply.status != HTTPStatus.OK:
                    raise _refused(reply)
                digest = await _keep(reply, place)
                said = reply.headers
                return Kept(digest, time.time(), form, said.get("ETag", ""), said.get("Last-Modified", ""))
        raise NotFound("package-not-found", "The channel has no such folder.", hint="Check the channel's name.")

    @asynccontextmanager
    async def _get(self, url: str, headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        host = urlsplit(url).netloc
        session = self._sessions.get(host)
        if session is None:
            session = self._sessions[host] = channel_session(make_channel(host, url))
        try:
            # Archives and zstd are compressed already; bytes must arrive as they are, for their hashes.
            async with session.get(url, headers={"Accept-Encoding": "identity", **headers}) as reply:
                yield reply
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise _unavailable(f"{url}: {type(exc).__name__} {exc}") from exc


def _conditions(kept: Kept) -> dict[str, str]:
    given = {"If-None-Match": kept.etag, "If-Modified-Since": kept.modified}
    return {name: value for name, value in given.items() if value}


async def _keep(reply: aiohttp.ClientResponse, place: Path) -> str:
    """Write the answer to the folder under its SHA-256, in place of what was there; return that."""
    digest, size = hashlib.sha256(), 0
    # One writer at a time, by the lock; what a kill left is written over.
    part = place / ".part"
    with await asyncio.to_thread(_open_new, part) as file:
        async for piece in reply.content.iter_chunked(_CHUNK):
            size += len(piece)
            if size > _MOST_BYTES:
                raise _unavailable(f"{reply.url}: more than {_MOST_BYTES} bytes")
            digest.update(piece)
            await asyncio.to_thread(file.write, piece)
    await asyncio.to_thread(part.replace, place / digest.hexdigest())
    return digest.hexdigest()


def _open_new(part: Path) -> BinaryIO:
    part.parent.mkdir(parents=True, exist_ok=True)
    return part.open("wb")


def _read_kept(place: Path) -> Kept | None:
    try:
        kept = Kept(**json.loads((place / "kept.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return kept if (place / kept.digest).is_file() else None


def _write_kept(place: Path, kept: Kept) -> None:
    write_atomically(place / "kept.json", json.dumps(asdict(kept)))
    for old in place.iterdir():
        # One that is being read stays readable until it is closed.
        if old.name not in ("kept.json", kept.digest) and not old.name.startswith("."):
            old.unlink(missing_ok=True)


def _refused(reply: aiohttp.ClientResponse) -> NotFound | Unavailable:
    if reply.status == HTTPStatus.NOT_FOUND:
        return NotFound("package-not-found", "The channel does not have this file.", hint="Search for what it has.")
    return _unavailable(f"{reply.url}: {reply.status}")


def _unavailable(detail: str) -> Unavailable:
    return Unavailable(
        "packages-unavailable",
        "The channel does not answer as it should.",
        hint="Try again; an administrator sees in the index host's log what it said.",
        detail=detail,
    )
