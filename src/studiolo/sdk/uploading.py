"""One upload to a workspace (tus 1.0.0): in parts, each with its checksum, going on where a connection broke off."""

import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import BinaryIO

import anyio

from studiolo.contract.errors import Conflict, NotFound, StudioloError, Unavailable
from studiolo.sdk import resumption
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
    """Sends one open file. `metadata`: of tus; `name`: by which it goes on in another program, None: it does not."""

    def __init__(
        self,
        transport: Transport,
        uploads: str,
        file: BinaryIO,
        size: int,
        metadata: Mapping[str, str],
        *,
        name: str | None,
        progress: Progress,
    ) -> None:
        self._transport = transport
        self._uploads = uploads
        self._file = file
        self._size = size
        self._metadata = metadata
        self._name = name
        self._progress = progress
        self._address: str | None = None

    async def run(self) -> None:
        """Send all of it. Raises what the platform refuses, Unavailable when it stays away."""
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
            self._file.seek(0)
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
        digest = await anyio.to_thread.run_sync(self._digest, offset, end)
        headers = {**_BYTES, **_checksum(digest), "Upload-Offset": str(offset), "Content-Length": str(end - offset)}
        reply = await self._transport.exchange(
            "PATCH",
            str(self._address),
            headers=headers,
            content=self._pieces(offset, end),
            silence_seconds=_LONGEST_SILENCE_SECONDS,
        )
        return int(reply.headers["Upload-Offset"])

    async def _pieces(self, offset: int, end: int) -> AsyncIterator[bytes]:
        self._file.seek(offset)
        while offset < end:
            piece = self._file.read(min(_PIECE, end - offset))
            if not piece:
                raise changed()
            offset += len(piece)
            yield piece
            self._progress(offset)

    def _digest(self, offset: int, end: int) -> "hashlib._Hash":
        self._file.seek(offset)
        found = hashlib.sha256()
        while offset < end:
            piece = self._file.read(min(_PIECE, end - offset))
            if not piece:
                raise changed()
            found.update(piece)
            offset += len(piece)
        return found

    async def _stand(self, offset: int) -> int:
        """Return how far it is now; what was known before while nobody answers."""
        try:
            return await self._ask(str(self._address))
        except Unavailable:
            return offset

    async def _ask(self, address: str) -> int:
        reply = await self._transport.exchange("HEAD", address, headers=_TUS, silence_seconds=_LONGEST_SILENCE_SECONDS)
        return int(reply.headers["Upload-Offset"])


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
