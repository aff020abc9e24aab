"""The platform's file host: `python -m studiolo.files.host`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from studiolo.files.host.serving import serving
from studiolo.kit.notify import notify

_NICE = 5


def main() -> int:
    """Serve until SIGTERM. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m studiolo.files.host", description="The platform's file host.")
    parser.add_argument("--socket", type=Path, required=True, help="Where to listen.")
    parser.add_argument("--control", type=Path, required=True, help="The control plane's socket.")
    parser.add_argument("--cache", type=Path, required=True, help="Folder for what can be made again.")
    parser.add_argument("--secret-file", type=Path, required=True, help="File with the secret that hosts share.")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # It tells each question of ours to the control plane.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Others wait for answers while somebody's gigabytes pass.
    os.nice(_NICE)
    try:
        secret = asked.secret_file.read_text().strip()
        asyncio.run(_serve_until_stopped(asked.socket, asked.control, asked.cache, secret))
    except OSError as exc:
        logging.getLogger(__name__).error("The file host cannot serve: %s", exc)
        return 1
    return 0


async def _serve_until_stopped(socket: Path, control: Path, cache: Path, secret: str) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(socket, control, cache, secret):
        notify(READY="1")
        await stopped.wait()
        notify(STOPPING="1")


if __name__ == "__main__":
    sys.exit(main())
