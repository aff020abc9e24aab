"""Files on their way to who may have them: noted in the journal before the last byte leaves."""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from studiolo.packages.index.asking import Ask
from studiolo.packages.index.projects import File, Project
from studiolo.packages.index.upstream import Upstream
from studiolo.packages.installed import fingerprint
from studiolo.packages.policy.decisions import Decision

BINARY = "application/octet-stream"
FOR_EVER = "private, immutable"
_HEADERS = {"Content-Type": BINARY, "Cache-Control": FOR_EVER}
_PIECE = 256 << 10


@dataclass(frozen=True, slots=True)
class Passed:
    """A file that the policy lets through, for one who asks."""

    ask: Ask
    upstream: Upstream
    project: Project
    file: File
    decision: Decision

    async def send(self) -> web.StreamResponse:
        """Send it from the cache, or while it comes. Raises errors of Download before the first byte."""
        request = self.ask.request
        path = self.ask.services.blobs.find(self.file.sha256) if self.file.sha256 else None
        if path is None:
            return await self._send_coming() if request.method == "GET" else web.Response(headers=_HEADERS)
        if request.method == "GET":
            await self._note(path.name)
        return web.FileResponse(path, chunk_size=_PIECE, headers=_HEADERS)

    async def _send_coming(self) -> web.StreamResponse:
        download = self.ask.services.blobs.fetch(self.upstream.client, self.file.url, sha256=self.file.sha256)
        response = web.StreamResponse(headers=_HEADERS)
        with download.path.open("rb") as source:
            await download.begun()
            if download.size is not None:
                response.content_length = download.size
            try:
                await response.prepare(self.ask.request)
                while piece := await download.read(source):
                    await response.write(piece)
                await self._note((await download.whole()).name)
                await response.write(source.read())
                await response.write_eof()
            except BaseException:
                if self.ask.request.transport is not None:
                    # Half a file must not look like a whole one.
                    self.ask.request.transport.abort()
                raise
        return response

    async def _note(self, sha256: str) -> None:
        """Note the delivery, and with a file's first one what it is."""
        services, project, file = self.ask.services, self.project, self.file
        known = services.store.find(project.channel, project.name, file.name)
        if known is not None:
            mark = known.fingerprint
        else:
            path = services.blobs.find(sha256) if file.is_wheel else None
            mark = await asyncio.to_thread(fingerprint.of_wheel, path) if path else None
            services.store.learn(project.channel, project.name, file.name, sha256, mark)
        subject = file.subject(project.name, project.channel)
        self.ask.deliver(subject, self.decision, sha256=sha256, fingerprint=mark)
