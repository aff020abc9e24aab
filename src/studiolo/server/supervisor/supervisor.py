"""Starts the parts in order, keeps them running, and stops them in reverse. Sessions go on."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

from studiolo.kit import logs
from studiolo.kit.notify import notify
from studiolo.server.settings import Settings
from studiolo.server.supervisor.children import Children
from studiolo.server.supervisor.keeper import Keeper
from studiolo.server.supervisor.parts import Part, log_of
from studiolo.server.supervisor.records import announce, record_processes, withdraw

logger = logging.getLogger(__name__)

SUPERVISOR_LOG = "supervisor"
_LOG_BYTES = 10 * 1024 * 1024
_LOGS_KEPT = 3
_LOG_CHECK_SECONDS = 30
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

StopSessions = Callable[[Settings], Awaitable[None]]


async def supervise(
    settings: Settings,
    parts: Sequence[Part],
    *,
    on_ready: Callable[[], Awaitable[None]],
    stop_sessions: StopSessions | None = None,
) -> None:
    """Run the parts until SIGINT, SIGTERM or SIGHUP. Call it inside `readiness.prepared`.

    `on_ready` runs once, when all parts serve; `stop_sessions` before the parts are stopped, while they serve.
    Raises Unavailable (`part-failed`) if a part cannot be started at first; everything is stopped then.
    """
    stopping = asyncio.Event()
    with Children() as children, _signals(stopping, children):
        keepers = _keepers(settings, parts, children)
        tasks: list[asyncio.Task[None]] = []
        try:
            start = asyncio.create_task(_start(keepers, tasks))
            await _until(stopping, start)
            if not stopping.is_set():
                await _serve(settings, tasks, stopping, on_ready)
                if stop_sessions is not None:
                    await stop_sessions(settings)
        finally:
            notify(STOPPING="1")
            logger.info("Stopping.")
            await _stop(tasks)
            withdraw(settings)


def _keepers(settings: Settings, parts: Sequence[Part], children: Children) -> list[Keeper]:
    keepers: list[Keeper] = []

    def record() -> None:
        record_processes(settings, {keeper.part.name: keeper.pid for keeper in keepers if keeper.pid})

    keepers += [
        Keeper(part, children, log=log_of(settings, part.name), run_dir=settings.runtime_dir, started=record)
        for part in parts
    ]
    return keepers


async def _start(keepers: Sequence[Keeper], tasks: list[asyncio.Task[None]]) -> None:
    """Start each part when those that it comes after are ready; return when all are."""
    ready = {keeper.part.name: keeper.ready for keeper in keepers}

    async def keep(keeper: Keeper) -> None:
        for name in keeper.part.after:
            await ready[name].wait()
        notify(STATUS=f"Starting the {keeper.part.title}")
        await keeper.keep()

    tasks += [asyncio.create_task(keep(keeper), name=keeper.part.name) for keeper in keepers]
    await _first(asyncio.create_task(_all(ready.values())), tasks)


async def _all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


async def _serve(
    settings: Settings,
    tasks: Sequence[asyncio.Task[None]],
    stopping: asyncio.Event,
    on_ready: Callable[[], Awaitable[None]],
) -> None:
    announce(settings)
    trimming = asyncio.create_task(_trim_logs(settings, [task.get_name() for task in tasks]))
    telling = asyncio.ensure_future(on_ready())
    try:
        await _until(stopping, telling)
        notify(READY="1", STATUS=f"Serving at {settings.address}")
        logger.info("Serving at %s.", settings.address)
        await stopping.wait()
    finally:
        trimming.cancel()


async def _until(stopping: asyncio.Event, work: asyncio.Future[Any]) -> None:
    """Wait for the work or the wish to stop, whichever comes first. Raises what the work raised."""
    wish = asyncio.create_task(stopping.wait())
    try:
        either: list[asyncio.Future[Any]] = [wish, work]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        wish.cancel()
        if not work.done():
            work.cancel()
    if not work.cancelled() and work.done():
        work.result()


async def _first(work: asyncio.Future[Any], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the work unless one of the tasks, which should never end, ends first. Raises what it raised."""
    try:
        either: list[asyncio.Future[Any]] = [work, *tasks]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not work.done():
            work.cancel()
    for task in tasks:
        if task.done():
            task.result()


async def _stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in reversed(tasks):
        task.cancel()
        # A part that failed at the start has been reported by then.
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()


async def _trim_logs(settings: Settings, parts: Sequence[str]) -> None:
    while True:
        for name in (*parts, SUPERVISOR_LOG):
            with contextlib.suppress(OSError):
                logs.rotate(log_of(settings, name), max_bytes=_LOG_BYTES, keep=_LOGS_KEPT)
        await asyncio.sleep(_LOG_CHECK_SECONDS)


@contextlib.contextmanager
def _signals(stopping: asyncio.Event, children: Children) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # Asked a second time: at once.
        if stopping.is_set():
            children.kill_all()
        stopping.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
