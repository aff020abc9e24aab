"""The platform's package index: `python -m studiolo.packages.index`."""

import argparse
import asyncio
import logging
import signal
import sqlite3
import sys
from pathlib import Path

from studiolo.kit.notify import notify
from studiolo.packages.index.channels import read_channels
from studiolo.packages.index.serving import running_services, serving


def main() -> int:
    """Serve until SIGTERM. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studiolo.packages.index", description="The platform's package index."
    )
    parser.add_argument("--socket", type=Path, required=True, help="Where to listen.")
    parser.add_argument("--control", type=Path, required=True, help="The control plane's socket.")
    parser.add_argument("--data", type=Path, required=True, help="The index's own folder.")
    parser.add_argument("--secret-file", type=Path, required=True, help="File with the secret that hosts share.")
    parser.add_argument("--channels-file", type=Path, required=True, help="JSON: address of each channel, in order.")
    parser.add_argument("--fresh", type=float, default=300, help="Seconds for which a channel's page is good.")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # It tells each question of ours to the control plane.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        asyncio.run(_serve_until_stopped(asked))
    except (OSError, ValueError, sqlite3.Error) as exc:
        logging.getLogger(__name__).error("The package index cannot serve: %s", exc)
        return 1
    return 0


async def _serve_until_stopped(asked: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    secret = asked.secret_file.read_text().strip()
    channels = await asyncio.to_thread(read_channels, asked.channels_file)
    parts = running_services(asked.control, asked.data, secret, channels, fresh_seconds=asked.fresh)
    async with parts as services, serving(asked.socket, services):
        notify(READY="1")
        await stopped.wait()
        notify(STOPPING="1")


if __name__ == "__main__":
    sys.exit(main())
