"""The supervisor from beginning to end: make ready, start the parts, serve, stop."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from studiolo.contract.errors import StudioloError
from studiolo.kit.notify import notify
from studiolo.server.settings import Settings
from studiolo.server.supervisor.parts import log_of, platform_parts
from studiolo.server.supervisor.readiness import prepared
from studiolo.server.supervisor.supervisor import SUPERVISOR_LOG, StopSessions, supervise

# A field of our own in an sd_notify message: a StudioloError as JSON {code, kind, message, hint, extra}.
ERROR_FIELD = "X_STUDIOLO_ERROR"


def run(
    settings: Settings,
    *,
    on_ready: Callable[[], Awaitable[None]],
    stop_sessions: StopSessions | None = None,
) -> None:
    """Run the platform until told to stop. Raises the StudioloError that keeps it from running."""
    with prepared(settings):
        parts = platform_parts(settings)
        _log_to_file(settings)
        asyncio.run(supervise(settings, parts, on_ready=on_ready, stop_sessions=stop_sessions))


def tell_failure(error: StudioloError) -> None:
    """Tell whoever started this process why it does not serve."""
    members = {name: getattr(error, name) for name in ("code", "kind", "message", "hint", "extra")}
    notify(**{ERROR_FIELD: json.dumps(members)})


def _log_to_file(settings: Settings) -> None:
    path = log_of(settings, SUPERVISOR_LOG)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("studiolo").addHandler(handler)
    logging.getLogger("studiolo").setLevel(logging.INFO)
