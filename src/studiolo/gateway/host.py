"""The platform's kernel host: `python -m studiolo.gateway.host`, see `settings.read_arguments` for its flags."""

import asyncio
import logging
import os
import signal
import sys

from studiolo.contract.errors import StudioloError
from studiolo.gateway.composition import Host
from studiolo.gateway.platform import PlatformAuthority
from studiolo.gateway.settings import PlatformSettings, read_arguments
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
    host = await Host.open(settings.host, launcher, authority)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await host.listen_unix(settings.socket)
        notify(READY="1")
        await stopped.wait()
        notify(STOPPING="1")
    finally:
        await host.close()
        await authority.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
