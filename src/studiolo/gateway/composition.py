"""A host put together: its parts, its listener, and what goes on in its background."""

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import ssl
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Self

from aiohttp import web

from studiolo.contract.errors import Conflict, StudioloError
from studiolo.gateway.api.app import create_app
from studiolo.gateway.api.asking import Services
from studiolo.gateway.base import Authority, Launcher
from studiolo.gateway.culling import Culling, Seen
from studiolo.gateway.documents import Documents
from studiolo.gateway.filling.unattended import save_notebook
from studiolo.gateway.hosted import Hosted
from studiolo.gateway.journals.stock import Stock
from studiolo.gateway.kernel_records import KernelRecords
from studiolo.gateway.offers.own_specs import OwnSpecs
from studiolo.gateway.registry import Registry
from studiolo.gateway.reporting import Reporting
from studiolo.gateway.settings import HostSettings
from studiolo.kit.lock import FileLock, Held

# Between two looks at what there is to report, and when nothing changed; see `reporting`.
_REPORT_PAUSE_SECONDS = 1.0
_REPORT_SECONDS = 10.0
_LOOK_SECONDS = 60.0
_SAVE_LOOK_SECONDS = 1.0
_CLOSE_SECONDS = 2.0

_log = logging.getLogger(__name__)
# What the HTTP server says with a trace of every broken request: its client is told, and our own faults are logged
# where all requests are answered.
_quiet = logging.getLogger("studiolo.gateway.http")
_quiet.setLevel(logging.CRITICAL)


class Host:
    """One running host. Made by `open`; `close` lets its kernels run on, unless told to end them."""

    def __init__(self, settings: HostSettings, launcher: Launcher, authority: Authority) -> None:
        self._settings = settings
        self._authority = authority
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.kernels.mkdir(mode=0o700, exist_ok=True)
        self._lock = FileLock(settings.kernels / "host.lock", {"pid": os.getpid()})
        self._culling = Culling(settings)
        self._reporting = Reporting()
        self._tasks: list[asyncio.Task[None]] = []
        documents = Documents(settings.data / "documents")
        specs = OwnSpecs(authority, settings.data / "kernelspecs")
        records = KernelRecords(settings.kernels, settings.run)
        self._stock = Stock(settings.data / "prepared")
        times = {"keep_ended": settings.keep_ended, "save_after": settings.save_after, "ping": settings.ping}
        self._launcher = launcher
        self.registry = Registry(records, documents, launcher, specs, **times, stock=self._stock, seed=settings.seed)
        self.services = Services(self.registry, documents, specs, settings)
        self._runner = web.AppRunner(
            create_app(self.services), access_log=None, logger=_quiet, shutdown_timeout=_CLOSE_SECONDS
        )

    @classmethod
    async def open(cls, settings: HostSettings, launcher: Launcher, authority: Authority) -> Self:
        """Adopt the kernels there are and begin to look after them. Raises Conflict if another host does."""
        host = cls(settings, launcher, authority)
        try:
            host._lock.__enter__()
        except Held as exc:
            raise Conflict(
                "already-running",
                f"Another kernel host (process {exc.holder.get('pid', '?')}) has the kernels in {settings.kernels}.",
                hint="Stop it first, or use another data directory.",
            ) from exc
        await host.registry.adopt_all()
        await host._runner.setup()
        host._tasks = [asyncio.create_task(loop()) for loop in (host._report, host._look_after, host._save)]
        return host

    async def listen_unix(self, path: Path) -> None:
        """Listen on a unix socket that only this account can reach. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
        mask = os.umask(0o177)
        try:
            await web.UnixSite(self._runner, str(path)).start()
        finally:
            os.umask(mask)

    async def listen_on(self, listener: socket.socket) -> None:
        """Listen on a socket that somebody else has bound, and keeps."""
        await web.SockSite(self._runner, listener).start()

    async def listen_tcp(self, address: str, port: int, *, tls: ssl.SSLContext | None = None) -> int:
        """Listen on a port, 0 for any free one; return it. Raises OSError."""
        await web.TCPSite(self._runner, address, port, ssl_context=tls, reuse_address=True).start()
        return int(self._runner.addresses[-1][1])

    async def close(self, *, end_kernels: bool = False) -> None:
        """Stop answering. Clients are told to come back; kernels run on, or are ended."""
        for site in list(self._runner.sites):
            await site.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.registry.close(end_kernels=end_kernels)
        self._stock.close()
        await self._runner.cleanup()
        await self._launcher.aclose()
        if end_kernels and not self.registry.has_living:
            # Nobody has sockets there any more; what kernels were told goes with it, keys too.
            await asyncio.to_thread(shutil.rmtree, self._settings.run, ignore_errors=True)
        self._lock.__exit__(None, None, None)

    async def _report(self) -> None:
        """Tell the authority of all kernels when it should know, and end those that it does not want."""
        changed = self.registry.changed
        while True:
            changed.clear()
            await _carefully(self._report_once())
            await asyncio.sleep(_REPORT_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_SECONDS):
                    await changed.wait()

    async def _report_once(self) -> None:
        kernels = [hosted for hosted in self.registry.list() if hosted.is_alive]
        path_of = self.services.documents.path_of
        report = [hosted.report(path_of(hosted.scope, hosted.id)) for hosted in kernels]
        if self._reporting.is_due(report, time.monotonic()):
            unwanted = await self._authority.report(report)
            self._reporting.was_told(report, time.monotonic())
            await self._end([hosted for hosted in kernels if hosted.id in unwanted], "nobody wants it")

    async def _look_after(self) -> None:
        """End kernels that nobody uses, forget those that ended long ago."""
        every = min(_LOOK_SECONDS, max((self._settings.cull_idle or _LOOK_SECONDS) / 4, 0.1))
        while True:
            await _carefully(self._look_once())
            await asyncio.sleep(every)

    async def _look_once(self) -> None:
        self.registry.forget_old()
        alive = [hosted for hosted in self.registry.list() if hosted.is_alive]
        due = self._culling.decide([_see(hosted) for hosted in alive], time.monotonic())
        await self._end([hosted for hosted in alive if hosted.id in due], "it was idle for long")

    async def _save(self) -> None:
        """Write output into notebooks that nobody has open."""
        while True:
            await asyncio.sleep(_SAVE_LOOK_SECONDS)
            for hosted in self.registry.list():
                await _carefully(save_notebook(hosted, self.services.documents))

    async def _end(self, kernels: list[Hosted], why: str) -> None:
        for hosted in kernels:
            _log.info("Kernel %s is ended: %s.", hosted.id, why)
        await asyncio.gather(*(self.registry.remove(hosted) for hosted in kernels))


def _see(hosted: Hosted) -> Seen:
    return Seen(
        id=hosted.id,
        is_of_session=hosted.scope.startswith("s-"),
        state=hosted.state,
        connections=hosted.connections,
        last_active_at=hosted.last_active_at,
        has_unread=hosted.kernel is not None and hosted.kernel.has_unread,
    )


async def _carefully(step: Awaitable[None]) -> None:
    """Await one step of a loop; one that fails costs only itself."""
    try:
        await step
    except StudioloError as exc:
        _log.warning("%s: %s", exc.code, exc.message)
    except Exception:
        _log.exception("A step in the background failed.")
