"""Files as channels have them, once for all workspaces, named by their SHA-256; who may read one is asked each time.

A file that comes is sent on while it comes, but for its end: that leaves once the digest is right.
"""

import asyncio
import contextlib
import errno
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import aiohttp

from studiolo.contract.errors import StudioloError, Unavailable
from studiolo.kit.threads import finish_in_thread

_PIECE = 256 << 10
# What is kept back until the whole is known to be right.
_HELD_BACK = 1
_PARTIAL = ".part"
_LARGEST_BYTES = 32 << 30

# Opens a file where it comes from.
Source = Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]

_log = logging.getLogger(__name__)


class Download:
    """A file that comes or has come. `sha256` and `path` are final once `whole` has returned."""

    def __init__(self, path: Path, sha256: str | None) -> None:
        self.path = path
        self.sha256 = sha256
        self.size: int | None = None
        self.written = 0
        self._error: BaseException | None = None
        self._is_whole = False
        self._changed = asyncio.Event()

    async def begun(self) -> None:
        """Wait until bytes come. Raises as `whole`."""
        while not (self.written or self._is_whole):
            await self._change()

    async def read(self, file: BinaryIO) -> bytes:
        """Return what comes next in `file`, opened from `path`; empty once only the end is left, and that is right.

        Raises as `whole`.
        """
        while True:
            room = self.written - _HELD_BACK - file.tell()
            if room > 0:
                return file.read(min(_PIECE, room))
            if self._is_whole:
                return b""
            await self._change()

    async def whole(self) -> Path:
        """Wait for the end; return where it lies. Raises Unavailable (`packages-unavailable`, `package-damaged`)."""
        while not self._is_whole:
            await self._change()
        return self.path

    def tell(self, *, error: BaseException | None = None, is_whole: bool = False) -> None:
        """Wake all who wait."""
        self._error, self._is_whole = error, is_whole
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _change(self) -> None:
        if self._error is None:
            await self._changed.wait()
        if self._error is not None:
            raise self._error


_Opening = Callable[[Download], AbstractAsyncContextManager[AsyncIterator[bytes]]]


class Blobs:
    """The folder of verified files."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError. What a kill left half is removed."""
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(f"*{_PARTIAL}"):
            left.unlink(missing_ok=True)
        self._coming: dict[str, Download] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, sha256: str) -> Path | None:
        """Return a file that is here."""
        path = self._folder / sha256
        return path if path.is_file() else None

    def fetch(self, client: aiohttp.ClientSession, url: str, *, sha256: str | None) -> Download:
        """Begin to fetch a file, or join those who do. It comes whole even if nobody waits any longer."""
        return self._begin(sha256 or url, sha256, lambda download: _from(client, url, download))

    async def keep(self, sha256: str, source: Source) -> Path:
        """Return the file of that digest, fetched from `source` where it is not here.

        Raises Unavailable (`packages-unavailable`, `package-damaged`).
        """
        return self.find(sha256) or await self._begin(sha256, sha256, lambda _: source()).whole()

    async def close(self) -> None:
        """Give up what is coming."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: str, sha256: str | None, opening: _Opening) -> Download:
        found = self._coming.get(key)
        if found is None:
            found = self._coming[key] = Download(self._folder / f"{secrets.token_hex(8)}{_PARTIAL}", sha256)
            found.path.touch(mode=0o600)
            task = asyncio.create_task(self._receive(key, found, opening))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return found

    async def _receive(self, key: str, download: Download, opening: _Opening) -> None:
        partial = download.path
        try:
            digest = await _receive_into(download, opening)
            if download.sha256 is not None and digest != download.sha256:
                raise _damaged()
            path = self._folder / digest
            # Where it is here already, the same bytes are replaced by themselves.
            partial.replace(path)
            download.path, download.sha256 = path, digest
            download.tell(is_whole=True)
        except BaseException as exc:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            download.tell(error=exc if isinstance(exc, StudioloError) else _not_sent(exc))
            if isinstance(exc, asyncio.CancelledError):
                raise
            _log.warning("a file did not come: %s", repr(exc)[:300])
        finally:
            del self._coming[key]


async def _receive_into(download: Download, opening: _Opening) -> str:
    """Write what comes; return its SHA-256, hexadecimal."""
    found = hashlib.sha256()
    # Unbuffered: readers have handles of their own.
    with download.path.open("wb", buffering=0) as file:

        def take(piece: bytes) -> None:
            found.update(piece)
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]

        async with opening(download) as pieces:
            async for piece in pieces:
                # In a thread, so that other pieces pass on meanwhile: on a busy disk this is most of the work.
                await finish_in_thread(partial(take, piece))
                download.written += len(piece)
                if download.written > _LARGEST_BYTES:
                    raise _too_large()
                download.tell()
    return found.hexdigest()


@contextlib.asynccontextmanager
async def _from(client: aiohttp.ClientSession, url: str, download: Download) -> AsyncIterator[AsyncIterator[bytes]]:
    # Packed on the way, its length would be another's.
    async with client.get(url, headers={"Accept-Encoding": "identity"}) as reply:
        reply.raise_for_status()
        download.size = reply.content_length
        yield reply.content.iter_chunked(_PIECE)


def _damaged() -> Unavailable:
    return Unavailable(
        "package-damaged",
        "What the package index sent is not the file that it lists: the digests differ. Nothing of it was kept.",
        hint="Try again. If it stays so, tell an administrator: somebody may have changed the file.",
    )


def _too_large() -> Unavailable:
    return Unavailable("package-damaged", f"The file is larger than {_LARGEST_BYTES >> 30} GiB, the most that is kept.")


def _not_sent(exc: BaseException) -> Unavailable:
    if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(
            "disk-full",
            "The platform's disk is full; the file was not kept.",
            hint="Ask an administrator to make room.",
        )
    return Unavailable(
        "packages-unavailable",
        "The package index did not send the file.",
        hint="Try again in a moment. If it stays so, tell an administrator.",
        detail=repr(exc)[:300],
    )
