"""`studiolo down`: stop the platform on this machine."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable

import typer

from studiolo.contract.errors import Denied, Unavailable
from studiolo.server.commands.flags import AsJSON, DataDir, StopSessions, platform_settings
from studiolo.server.supervisor.records import find_running
from studiolo.server.supervisor.sessions import stop_all_sessions

_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.05


def down(data_dir: DataDir = None, stop_sessions: StopSessions = False, as_json: AsJSON = False) -> None:
    """Stop the platform; sessions go on and are found again by the next `studiolo up`.

    Success if none runs.
    """
    settings = platform_settings(data_dir=data_dir)
    running = find_running(settings)
    if running is not None:
        if stop_sessions:
            asyncio.run(stop_all_sessions(settings))
        _end(running.get("pid", 0), lambda: find_running(settings) is None)
    where = f" on {settings.data_dir}"
    if as_json:
        typer.echo(json.dumps({"was_running": running is not None, "data_dir": str(settings.data_dir)}))
    else:
        typer.echo(f"Stopped the platform{where}." if running else f"No platform runs{where}.", err=True)


def _end(pid: int, is_gone: Callable[[], bool]) -> None:
    if pid <= 0:
        raise Unavailable("timeout", "The platform is just starting; who runs it is not known yet.", hint="Try again.")
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as exc:
        raise Denied("denied", f"The platform (process {pid}) belongs to another account.") from exc
    deadline = time.monotonic() + _STOP_SECONDS
    while not is_gone():
        if time.monotonic() > deadline:
            hint = f"kill -9 {pid} ends it at once; sessions go on."
            raise Unavailable("timeout", f"Process {pid} has not ended within {_STOP_SECONDS:.0f} s.", hint=hint)
        time.sleep(_LOOK_SECONDS)
