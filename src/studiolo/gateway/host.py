"""The platform's kernel host: `python -m studiolo.gateway.host`, see `settings.read_arguments` for its flags."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from studiolo.contract.errors import StudioloError
from studiolo.gateway.base import Authority, Launcher
from studiolo.gateway.composition import Host
from studiolo.gateway.platform import PlatformAuthority
from studiolo.gateway.settings import HostSettings, PlatformSettings, read_arguments
from studiolo.gateway.starting.launching import LocalLauncher
from studiolo.kit.notify import notify


def main() -> int:
    """Serve until SIGTERM; kernels run on. Returns the exit code."""
    settings = read_arguments(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.umask(0o077)
    try:
        return asyncio.run(serve(settings))
    except (StudioloError, OSError) as exc:
        logging.getLogger(__name__).error("The kernel host cannot serve: %s", exc)
        return 1


async def serve(settings: PlatformSettings) -> int:
    """Serve on the unix socket and say READY=1. Raises Conflict, OSError."""
    authority = PlatformAuthority(secret=settings.host.secret, control=settings.control, run=settings.host.run)
    launcher = LocalLauncher(settings.host.kernels, settings.host.run / "k", spares=settings.host.spares)
    try:
        await run(settings.host, launcher, authority, lambda host: host.listen_unix(settings.socket))
    finally:
        await authority.close()
    return 0


async def run(
    settings: HostSettings, launcher: Launcher, authority: Authority, listen: Callable[[Host], Awaitable[None]]
) -> None:
    """Be a host until SIGTERM or SIGINT; its kernels run on. Raises Conflict, and what `listen` raises."""
    host = await Host.open(settings, launcher, authority)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await listen(host)
        notify(READY="1")
        await stopped.wait()
        notify(STOPPING="1")
    finally:
        await host.close()


if __name__ == "__main__":
    sys.exit(main())
