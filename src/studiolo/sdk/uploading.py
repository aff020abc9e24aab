"""One upload to a workspace (tus 1.0.0): in parts, each with its checksum, going on where a connection broke off."""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import BinaryIO

import anyio

from studiolo.contract.errors import Conflict, NotFound, StudioloError, Unavailable
from studiolo.sdk import resumption
from studiolo.sdk.carrying import send
from studiolo.sdk.transport import Transport

Progress = Callable[[int], None]
_TUS = {"Tus-Resumable": "1.0.0"}
_BYTES = {**_TUS, "Content-Type": "application/offset+octet-stream"}
# Each part is checked before it counts: so much is sent again at most.
_PART = 64 << 20
_PIECE = 1 << 20
# Seconds before each further try; a part that arrives begins them anew.
_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
# A whole file is synced and checked before the last answer.
_LONGEST_SILENCE_SECONDS = 600.0


class Uploading:
    """Sends one file. `metadata`: of tus; `name`: by which it goes on in another program, None: it does not.

    `open_file`: opens it, each time at a place of its own: while a part is sent the next one is read for its checksum.
    """

    def __init__(
        self,
        transport: Transport,
        uploads: str,
        open_file: Callable[[], BinaryIO],
        size: int,
        metadata: Mapping[str, str],
        *,
        name: str | None,
        progress: Progress,
    ) -> None:
        self._transport = transport
        self._uploads = uploads
        self._open_file = open_file
        self._size = size
        self._metadata = metadata
        self._name = name
        self._progress = progress
        self._address: str | None = None
        # Where a part begins, and its checksum as it is found.
        self._foreseen: tuple[int, Future[hashlib._Hash]] | None = None

    async def run(self) -> None:
        """Send all of it. Raises what the platform refuses, Unavailable when it stays away, OSError."""
        with ExitStack() as opened:
            self._file = opened.enter_context(self._open_file())
            self._ahead = opened.enter_context(self._open_file())
            self._thread = ThreadPoolExecutor(1, "studiolo-checksums")
            # A part that nobody waits for any more is read to its end, in a fraction of a second.
            opened.callback(self._thread.shutdown)
            await self._run()

    async def _run(self) -> None:
        offset, failures = 0, 0
        while self._address is None or offset < self._size:
            try:
                offset = await (self._begin() if self._address is None else self._send_part(offset))
            except (Unavailable, Conflict) as exc:
                if failures == len(_BACK_OFF) or not _may_try_again(exc):
                    raise
                await anyio.sleep(_BACK_OFF[failures])
                failures += 1
                offset = offset if self._address is None else await self._stand(offset)
            else:
                failures = 0
            self._progress(offset)
        if self._name is not None:
            resumption.forget(self._name)

    async def _begin(self) -> int:
        """Announce it, or find the one that broke off; return how far it is."""
        known = resumption.recall(self._name) if self._name is not None else None
        if known is not None and known.startswith(self._uploads):
            try:
                offset = await self._ask(known)
            except NotFound:
                pass
            else:
                self._address = known
                return offset
        headers = {**_TUS, "Upload-Length": str(self._size), "Upload-Metadata": _encode(self._metadata)}
        content = None
        if self._size <= _PIECE:
            # What is small comes at once with its announcement.
            content = self._file.read(self._size)
            headers |= {**_BYTES, **_checksum(hashlib.sha256(content))}
        reply = await self._transport.exchange(
            "POST", self._uploads, headers=headers, content=content, silence_seconds=_LONGEST_SILENCE_SECONDS
        )
        self._address = reply.headers["Location"]
        if content is None and self._name is not None:
            resumption.remember(self._name, self._address)
        return int(reply.headers["Upload-Offset"])

    async def _send_part(self, offset: int) -> int:
        end = min(offset + _PART, self._size)
        digest = await anyio.to_thread.run_sync(self._digest, offset)
        headers = {**_BYTES, **_checksum(digest), "Upload-Offset": str(offset)}
        reply = await send(
            self._transport,
            "PATCH",
            str(self._address),
            headers,
            self._told(offset, end),
            end - offset,
            silence_seconds=_LONGEST_SILENCE_SECONDS,
        )
        return int(reply["Upload-Offset"])

    def _told(self, offset: int, end: int) -> Iterator[memoryview]:
        for piece in _pieces(self._file, offset, end):
            yield piece
            offset += len(piece)
            self._progress(offset)

    def _digest(self, offset: int) -> "hashlib._Hash":
        """Return the checksum of the part at `offset`, and begin with the next one's."""
        if self._foreseen is None or self._foreseen[0] != offset:
            self._foresee(offset)
        assert self._foreseen is not None
        found = self._foreseen[1].result()
        if offset + _PART < self._size:
            self._foresee(offset + _PART)
        return found

    def _foresee(self, offset: int) -> None:
        end = min(offset + _PART, self._size)
        self._foreseen = offset, self._thread.submit(_digest, self._ahead, offset, end)

    async def _stand(self, offset: int) -> int:
        """Return how far it is now; what was known before while nobody answers."""
        try:
            return await self._ask(str(self._address))
        except Unavailable:
            return offset

    async def _ask(self, address: str) -> int:
        reply = await self._transport.exchange("HEAD", address, headers=_TUS, silence_seconds=_LONGEST_SILENCE_SECONDS)
        return int(reply.headers["Upload-Offset"])


def _pieces(file: BinaryIO, offset: int, end: int) -> Iterator[memoryview]:
    """Yield a file's bytes; each view holds until the next one is asked for. Raises Conflict (`file-changed`)."""
    buffer = memoryview(bytearray(min(_PIECE, end - offset)))
    file.seek(offset)
    while offset < end:
        size: int = file.readinto(buffer[: end - offset])  # type: ignore[attr-defined]
        if not size:
            raise changed()
        yield buffer[:size]
        offset += size


def _digest(file: BinaryIO, offset: int, end: int) -> "hashlib._Hash":
    found = hashlib.sha256()
    for piece in _pieces(file, offset, end):
        found.update(piece)
    return found


def changed() -> Conflict:
    """The error for a file that changes while it is sent."""
    return Conflict(
        "file-changed", "The file changed while it was being sent; nothing was placed.", hint="Send it again."
    )


def _may_try_again(error: StudioloError) -> bool:
    return error.code in ("upload-offset", "checksum-mismatch") or (
        isinstance(error, Unavailable) and error.code not in ("disk-full", "read-only", "certificate-unusable")
    )


def _encode(metadata: Mapping[str, str]) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())


def _checksum(digest: "hashlib._Hash") -> dict[str, str]:
    return {"Upload-Checksum": f"sha256 {base64.b64encode(digest.digest()).decode()}"}
