"""Channels as a workspace's policy leaves them: `/conda/{channel}/{subdir}/…`, mounted by the index host.

Two forms of repodata and the archives; all else is 404, for which clients ask next: what is not filtered is not served.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from studiolo.packages.conda.channels import SUBDIR, Channels
from studiolo.packages.conda.records import read_archive_name, subject_of
from studiolo.packages.conda.sending import BINARY, FOR_EVER, FORMS, SHARDS, not_served, send_of_view
from studiolo.packages.conda.upstream import Upstream
from studiolo.packages.conda.viewing import Viewing
from studiolo.packages.index.asking import Ask, Handler
from studiolo.packages.index.blobs import Blobs
from studiolo.packages.index.store import Store
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.decisions import Decision, Subject, Verdict

_CHANGED = Decision(
    Verdict.REFUSE, "hash-changed", None, None, "The file is not what it was when it was first delivered here."
)


@asynccontextmanager
async def mounted(
    data: Path, named: Mapping[str, str], blobs: Blobs, store: Store, *, fresh_seconds: float
) -> AsyncIterator[Handler]:
    """Give the handler of all below `/conda/`. `data`: the host's folder; `named`: the settings' channels."""
    upstream = Upstream(data / "conda" / "upstream", fresh_seconds=fresh_seconds)
    facade = CondaFacade(Channels(named), upstream, Viewing(data / "conda" / "views", upstream), blobs, store)
    try:
        yield facade.answer
    finally:
        await upstream.close()


class CondaFacade:
    """Serves channels."""

    def __init__(self, channels: Channels, upstream: Upstream, viewing: Viewing, blobs: Blobs, store: Store) -> None:
        self._channels = channels
        self._upstream = upstream
        self._viewing = viewing
        self._blobs = blobs
        self._store = store

    async def answer(self, ask: Ask) -> web.StreamResponse:
        """Answer any request below `/conda/`.

        Raises NotFound for what is not served, Denied (`package-refused`), Unavailable if the channel does not answer.
        """
        channel, subdir, file = (*ask.path[:2], "/".join(ask.path[2:])) if len(ask.path) > 2 else ("", "", "")
        address = self._channels.find_address(channel) if SUBDIR.fullmatch(subdir) else None
        if address is None:
            raise not_served()
        # Before anything is fetched: a channel that is not trusted is not asked.
        _judge(ask, Subject("conda", channel, channel=channel), only="untrusted-channel")
        if read_archive_name(file) is not None:
            return await self._send_archive(ask, channel, address, subdir, file)
        if file not in FORMS and not file.startswith(SHARDS):
            raise not_served()
        view = await self._viewing.view(ask.policy, channel, address, subdir)
        return await send_of_view(ask.request, view, file)

    async def _send_archive(self, ask: Ask, channel: str, address: str, subdir: str, file: str) -> web.StreamResponse:
        """Judge again and send: what a page once showed is no permission."""
        view = await self._viewing.view(ask.policy, channel, address, subdir)
        record = await asyncio.to_thread(view.find_record, file)
        subject = subject_of(file, record, channel) if record else _named(file, channel)
        decision = _judge(ask, subject)
        if record is None:
            raise not_served()
        place, sha256 = f"conda/{channel}", record["sha256"]
        known = self._store.find(place, subdir, file)
        if known is not None and known.sha256 != sha256:
            raise ask.refuse(subject, _CHANGED)
        path = await self._blobs.keep(sha256, lambda: self._upstream.archive(address, subdir, file))
        if ask.request.method == "GET":
            self._store.learn(place, subdir, file, sha256, None)
            ask.deliver(subject, decision, sha256=sha256, fingerprint=None)
        return web.FileResponse(path, headers={"Content-Type": BINARY, **FOR_EVER})


def _judge(ask: Ask, subject: Subject, *, only: str | None = None) -> Decision:
    decision = decide(ask.policy, subject, datetime.now(UTC))
    if not decision.is_allowed and only in (None, decision.code):
        raise ask.refuse(subject, decision)
    return decision


def _named(file: str, channel: str) -> Subject:
    """Return what the name alone says of an archive that is not visible (any more)."""
    archive = read_archive_name(file)
    assert archive is not None
    return Subject("conda", archive.name, version=archive.version, channel=channel)
