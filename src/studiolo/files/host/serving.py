"""A file host that listens, for as long as a block lasts."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from studiolo.files.comparing import Differences
from studiolo.files.host.app import create_app
from studiolo.files.host.asking import Services
from studiolo.files.host.control import ControlPlane
from studiolo.files.previews.store import Previews
from studiolo.files.search.searches import Searches
from studiolo.files.workers.pool import WorkerPool

# Bytes of a request that wait while earlier ones are written.
_READ_BYTES = 1 << 20
# The longest path has 4,096 bytes, three letters each in an address; archives name several.
_LINE_BYTES = 64 << 10
_CLOSE_SECONDS = 2.0


@contextlib.asynccontextmanager
async def serving(socket: Path, control: Path, cache: Path, secret: str) -> AsyncIterator[None]:
    """Serve on a unix socket that only this account can reach. Raises OSError.

    `cache`: folder for what can be made again.
    """
    pool = WorkerPool()
    previews, searches = Previews(cache / "previews", pool), Searches(cache / "search", pool)
    app = create_app(Services(ControlPlane(control, secret), secret, cache, previews, searches, Differences(pool)))
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_CLOSE_SECONDS,
        read_bufsize=_READ_BYTES,
        max_line_size=_LINE_BYTES,
    )
    await runner.setup()
    try:
        await asyncio.to_thread(socket.unlink, missing_ok=True)
        mask = os.umask(0o177)
        try:
            await web.UnixSite(runner, str(socket)).start()
        finally:
            os.umask(mask)
        yield
    finally:
        await runner.cleanup()
        await searches.close()
        await pool.close()
