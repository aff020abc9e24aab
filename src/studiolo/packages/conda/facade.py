"""Channels as a workspace's policy leaves them: `/conda/{channel}/{subdir}/…`, mounted by the index host.

Two forms of repodata and the archives; all else is 404, for which clients ask next: what is not filtered is not served.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from backports import zstd

from studiolo.contract.errors import NotFound, StudioloError
from studiolo.packages.conda.channels import SUBDIR, Channels
from studiolo.packages.conda.records import read_archive_name, subject_of
from studiolo.packages.conda.upstream import Upstream
from studiolo.packages.conda.viewing import Viewing
from studiolo.packages.conda.views import View
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import Decision, Subject
from studiolo.packages.policy.effective import Policy

_BINARY = "application/octet-stream"
_JSON = "application/json"
_CHUNK = 1 << 20
# Clients ask each time whether it is still so: an approval and a block take effect at once.
_ASK_AGAIN = {"Cache-Control": "no-cache"}
_FOR_EVER = {"Cache-Control": "private, immutable, max-age=31536000"}
_SHARDS = "shards/"
_SHARD_ENDING = ".msgpack.zst"

# Opens an archive at its channel.
Source = Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]
# Returns the file with this SHA-256 (hexadecimal) from the cache, filled from the source and verified before.
Keep = Callable[[str, Source], Awaitable[Path]]


@dataclass(frozen=True)
class Asked:
    """One request, and for whom. `delivered` and `refused` write it down for the ledger.

    `refusal`: the error that a refused caller gets.
    """

    request: web.Request
    policy: Policy
    delivered: Callable[[Subject], None]
    refused: Callable[[Subject, Decision], StudioloError]


class CondaFacade:
    """Serves channels. `keep` is the blob cache that all ecosystems share."""

    def __init__(self, channels: Channels, upstream: Upstream, viewing: Viewing, keep: Keep) -> None:
        self._channels = channels
        self._upstream = upstream
        self._viewing = viewing
        self._keep = keep

    async def answer(self, asked: Asked, channel: str, subdir: str, file: str) -> web.StreamResponse:
        """Answer for `file`, which is what follows the folder in the address.

        Raises NotFound for what is not served, Denied for what the policy refuses, Unavailable if the channel does
        not answer.
        """
        address = self._channels.find_address(channel) if SUBDIR.fullmatch(subdir) else None
        if address is None:
            raise _not_served()
        # Before anything is fetched: a channel that is not trusted is not asked.
        self._check(asked, Subject("conda", _PROJECT_OF_NONE, channel=channel), only={"untrusted-channel"})
        if read_archive_name(file) is not None:
            return await self._send_archive(asked, channel, address, subdir, file)
        if file not in _FORMS and not file.startswith(_SHARDS):
            raise _not_served()
        view = await self._viewing.view(asked.policy, channel, address, subdir)
        return await _send_of_view(asked.request, view, file)

    async def _send_archive(
        self, asked: Asked, channel: str, address: str, subdir: str, file: str
    ) -> web.StreamResponse:
        """Judge again and send: what a page once showed is no permission."""
        view = await self._viewing.view(asked.policy, channel, address, subdir)
        record = await asyncio.to_thread(view.find_record, file)
        subject = subject_of(file, record, channel) if record else _named(file, channel)
        self._check(asked, subject)
        if record is None:
            raise _not_served()
        path = await self._keep(record["sha256"], lambda: self._upstream.archive(address, subdir, file))
        asked.delivered(subject)
        return web.FileResponse(path, headers={"Content-Type": _BINARY, **_FOR_EVER})

    def _check(self, asked: Asked, subject: Subject, *, only: set[str] | None = None) -> None:
        decision = decide(asked.policy, subject, datetime.now(UTC))
        if not decision.is_allowed and (only is None or decision.code in only):
            raise asked.refused(subject, decision)


# Stands for a package where only the channel is judged; conda's own mark for what is no package.
_PROJECT_OF_NONE = "_"


async def _send_of_view(request: web.Request, view: View, file: str) -> web.StreamResponse:
    if file.startswith(_SHARDS):
        shard = await asyncio.to_thread(view.read_shard, file.removeprefix(_SHARDS).removesuffix(_SHARD_ENDING))
        if shard is None or not file.endswith(_SHARD_ENDING):
            raise _not_served()
        return web.Response(body=shard, content_type=_BINARY, headers=_FOR_EVER)
    tag = {"ETag": f'"{view.key}"', **_ASK_AGAIN}
    if any(match.value == view.key for match in request.if_none_match or ()):
        return web.Response(status=304, headers=tag)
    return await _FORMS[file](request, view, tag)


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
        reply = web.StreamResponse(headers={"Content-Type": _BINARY, **headers})
        reply.content_length = os.fstat(file.fileno()).st_size
        await reply.prepare(request)
        while request.method != "HEAD" and (piece := await asyncio.to_thread(file.read, _CHUNK)):
            await reply.write(piece)
    await reply.write_eof()
    return reply


_FORMS = {
    "repodata.json": _send_plain,
    "repodata.json.zst": _send_packed,
    "repodata_shards.msgpack.zst": _send_index,
}


def _unpacked(path: Path) -> Iterator[bytes]:
    with zstd.ZstdFile(path) as file:
        while piece := file.read(_CHUNK):
            yield piece


def _named(file: str, channel: str) -> Subject:
    """Return what the name alone says of an archive that is not visible (any more)."""
    archive = read_archive_name(file)
    assert archive is not None
    return Subject("conda", archive.name, version=archive.version, channel=channel)


def _not_served() -> NotFound:
    return NotFound(
        "package-not-found",
        "The index has no such file.",
        hint="It serves repodata.json, repodata.json.zst, repodata_shards.msgpack.zst, shards and archives.",
    )
