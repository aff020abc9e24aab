"""Serves what plays a JupyterHub in tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from aiohttp import web


class Hub(Protocol):
    """Answers requests at `url`, which is set when it is served; with `hangs`, once that is set."""

    url: str
    hangs: asyncio.Event | None

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        ...


@contextlib.asynccontextmanager
async def serving(hub: Hub) -> AsyncIterator[None]:
    """Serve it on a port of this machine."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hub.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield
    finally:
        if hub.hangs is not None:
            hub.hangs.set()
        await runner.cleanup()
