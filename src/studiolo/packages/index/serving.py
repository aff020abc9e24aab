"""An index host that listens, for as long as a block lasts."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from studiolo.packages.conda.facade import mounted
from studiolo.packages.index.app import create_app
from studiolo.packages.index.asking import Services
from studiolo.packages.index.blobs import Blobs
from studiolo.packages.index.channels import Channels
from studiolo.packages.index.control import ControlPlane
from studiolo.packages.index.egress import channel_session
from studiolo.packages.index.kept_pages import KeptPages
from studiolo.packages.index.metadata import Metadata
from studiolo.packages.index.owners import Owners
from studiolo.packages.index.policies import Policies
from studiolo.packages.index.reporting import Reports
from studiolo.packages.index.store import Store
from studiolo.packages.index.upstream import Upstream

_CLOSE_SECONDS = 2.0


@contextlib.asynccontextmanager
async def running_services(
    control: Path, data: Path, secret: str, channels: Channels, *, fresh_seconds: float
) -> AsyncIterator[Services]:
    """Give the parts of a host. Raises OSError, sqlite3.Error.

    `data`: the host's own folder; `fresh_seconds`: how long a channel's page is good without asking.
    """
    async with contextlib.AsyncExitStack() as stack:
        plane, store = ControlPlane(control, secret), Store(data / "index.db")
        stack.callback(store.close)
        upstreams = []
        for channel in channels.indexes:
            client = await stack.enter_async_context(channel_session(channel))
            upstreams.append(Upstream(channel, client, fresh_seconds=fresh_seconds))
        blobs = Blobs(data / "blobs")
        stack.push_async_callback(blobs.close)
        metadata = Metadata(data / "metadata", blobs)
        stack.push_async_callback(metadata.close)
        conda = await stack.enter_async_context(
            mounted(data, channels.conda, blobs, store, fresh_seconds=fresh_seconds)
        )
        reports = Reports(store, plane)
        telling = asyncio.create_task(reports.tell_forever())
        stack.push_async_callback(_end, telling)
        owners, pages = Owners(upstreams, channels.missing), KeptPages(store)
        yield Services(secret, Policies(plane), owners, pages, blobs, metadata, store, reports, conda)


@contextlib.asynccontextmanager
async def serving(socket: Path, services: Services) -> AsyncIterator[None]:
    """Serve on a unix socket that only this account can reach. Raises OSError."""
    runner = web.AppRunner(create_app(services), access_log=None, shutdown_timeout=_CLOSE_SECONDS)
    await runner.setup()
    try:
        await _listen(runner, socket)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, socket: Path) -> None:
    await asyncio.to_thread(socket.unlink, missing_ok=True)
    mask = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(socket), backlog=512).start()
    finally:
        os.umask(mask)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
