"""One download from a workspace: into a part beside its place, going on where it broke off, checked, then named."""

import base64
import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from io import FileIO
from pathlib import Path

import anyio

from studiolo.contract.errors import Conflict, Unavailable
from studiolo.contract.long_files import WriteBehind
from studiolo.sdk.carrying import fetch
from studiolo.sdk.transport import Transport

Progress = Callable[[int], None]
_PIECE = 1 << 20
_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_WANT_DIGEST = {"Want-Repr-Digest": "sha-256=1"}


async def download(
    transport: Transport,
    address: str,
    etag: str,
    size: int,
    target: Path,
    *,
    modified_at: datetime | None,
    progress: Progress,
) -> None:
    """Bring the file of this ETag and size to `target`, which is replaced when all is there and right.

    `modified_at`: the time that it shall tell. Raises Conflict (`file-changed`, `checksum-mismatch`,
    `download-running`), Unavailable when the platform stays away, OSError.
    """
    # A part of another content has another name; of a long one the beginning, which may end within a character.
    begin = os.fsencode(target.name)[:100].decode(errors="ignore")
    part = target.with_name(f".{begin}.{hashlib.sha256(etag.encode()).hexdigest()[:12]}.part")
    with _owned(part, target) as file:
        if not await _bring_checked(transport, address, etag, size, file, progress):
            part.unlink(missing_ok=True)
            raise Conflict("checksum-mismatch", "The bytes that arrived are not those of the file.", hint="Try again.")
        if modified_at is not None:
            os.utime(part, (modified_at.timestamp(), modified_at.timestamp()))
        part.replace(target)


@contextlib.contextmanager
def _owned(part: Path, target: Path) -> Iterator[FileIO]:
    """Open the part for this program alone: what two write into one is the file of neither."""
    with part.open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it may have given it its name since it was opened here.
            is_ours = part.exists() and os.path.samestat(part.stat(), os.fstat(file.fileno()))
        except BlockingIOError:
            is_ours = False
        except OSError:
            # A file system without locks.
            is_ours = True
        if not is_ours:
            raise Conflict(
                "download-running",
                f"Another program brings this file to {str(target)!r}.",
                hint="Wait for it, end it, or choose another place.",
            )
        yield file


async def _bring_checked(
    transport: Transport, address: str, etag: str, size: int, file: FileIO, progress: Progress
) -> bool:
    """Bring the rest of the file; tell whether all of it is what the platform has."""
    digest: list[str] = []

    async def ask_digest() -> None:
        # The other side reads the file once more for it: meanwhile its bytes come.
        digest.append(await _digest(transport, address, etag))

    try:
        async with anyio.create_task_group() as both:
            both.start_soon(ask_digest)
            found = await _bring(transport, address, etag, size, file, progress)
    except BaseExceptionGroup as group:
        # Callers know single errors; the other, if any, tells of the same.
        raise group.exceptions[0] from None
    return digest[0] == base64.b64encode(found.digest()).decode()


async def _bring(
    transport: Transport, address: str, etag: str, size: int, file: FileIO, progress: Progress
) -> "hashlib._Hash":
    failures = 0
    # One thread finds the checksum of what another writes; both let others run.
    with ThreadPoolExecutor(1, "studiolo-checksums") as thread:
        found = hashlib.sha256()
        place = await anyio.to_thread.run_sync(_take_up, file, found)
        behind = WriteBehind(file.fileno(), place)

        def take(piece: memoryview) -> None:
            nonlocal place
            checked = thread.submit(found.update, piece)
            try:
                while piece:
                    written = file.write(piece)
                    place, piece = place + written, piece[written:]
                behind.reached(place)
            finally:
                checked.result()
            progress(place)

        progress(place)
        while (begun := place) < size:
            try:
                await fetch(transport, address, _range(etag, begun), take)
            except Unavailable:
                failures = failures + 1 if place == begun else 1
                if failures > len(_BACK_OFF):
                    raise
                await anyio.sleep(_BACK_OFF[failures - 1])
    return found


def _take_up(file: FileIO, found: "hashlib._Hash") -> int:
    """Read what an earlier try brought into the checksum; return its length."""
    file.seek(0)
    while piece := file.read(_PIECE):
        found.update(piece)
    return file.tell()


async def _digest(transport: Transport, address: str, etag: str) -> str:
    """Return the SHA-256 of the file of this ETag, base64. Waits as long as it takes."""
    reply = await transport.exchange("HEAD", address, headers=_WANT_DIGEST | {"If-Match": etag}, silence_seconds=None)
    return str(reply.headers.get("Repr-Digest", "")).partition("sha-256=:")[2].rstrip(":")


def _range(etag: str, place: int) -> Mapping[str, str]:
    asked = {"Accept": "*/*", "Accept-Encoding": "identity", "If-Match": etag}
    return asked | {"Range": f"bytes={place}-"} if place else asked
