"""What each handler of the file host gets: the request, who asks, the path, and the parts of the host."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from studiolo.contract.errors import StudioloError
from studiolo.files.comparing import Differences
from studiolo.files.host.callers import Caller
from studiolo.files.host.control import ControlPlane
from studiolo.files.previews.store import Previews
from studiolo.files.root import Root, opened_root
from studiolo.files.search.searches import Searches

# A transfer goes on at most this long after its caller may no longer.
_CHECK_SECONDS = 2.0


@dataclass(slots=True)
class Services:
    """The parts of one host.

    `cache`: folder for what can be made again; `writers`: the one task that receives bytes of an upload, by its id.
    """

    control: ControlPlane
    secret: str = field(repr=False)
    cache: Path
    previews: Previews
    searches: Searches
    differences: Differences
    writers: dict[str, asyncio.Task[object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `path`: of the wire, what follows the address's name."""

    request: web.Request
    caller: Caller
    services: Services
    path: str

    def root(self) -> contextlib.AbstractAsyncContextManager[Root]:
        """Open the caller's workspace. Raises NotFound (`folder-not-found`)."""
        return opened_root(Path(self.caller.folder))

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Break the connection off soon after the caller's right to it has ended."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            if isinstance(await self.services.control.check(self.caller), StudioloError):
                if self.request.transport is not None:
                    self.request.transport.abort()
                return


Handler = Callable[[Ask], Awaitable[web.StreamResponse]]
