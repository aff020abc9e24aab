"""The control plane's process: `python -m studiolo.server.main`, settings from the environment."""

import fcntl
import logging
import os
import socket
import sys
from pathlib import Path
from typing import TextIO

import structlog
import uvicorn

from studiolo.contract.errors import EXIT_CODE, Conflict, StudioloError
from studiolo.kit.notify import notify
from studiolo.server.app import create_app
from studiolo.server.schema import check_schema
from studiolo.server.services import build
from studiolo.server.settings import Settings, load_settings


def main() -> int:
    """Serve until told to stop; returns the exit code."""
    try:
        settings = load_settings()
        lock = _lock(settings)
        check_schema(settings)
        application = create_app(build(settings))
    except StudioloError as error:
        print(f"error: {error.message}\n\nhint: {error.hint or 'studiolo doctor'}", file=sys.stderr)  # noqa: T201
        return EXIT_CODE[error.kind]
    _log_to_stderr()
    listener = _listen(settings.control_socket)
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
        ws_ping_interval=15,
        ws_ping_timeout=30,
        ws_max_size=65536,
    )
    _Server(config).run(sockets=[listener])
    lock.close()
    return 0


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the supervisor when requests are answered."""
        await super().startup(sockets)
        if self.started:
            notify(READY="1")


def _lock(settings: Settings) -> TextIO:
    """Hold a lock for the life of the process: with SQLite, one control plane owns all leases."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    file = (settings.data_dir / "control-plane.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise Conflict(
            "already-running", "A control plane runs on this data directory already.", hint="studiolo down stops it."
        ) from exc
    return file


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(2048)
    return listener


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


if __name__ == "__main__":
    sys.exit(main())
