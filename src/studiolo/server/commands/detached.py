"""Starting the supervisor in the background and waiting until it serves."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from studiolo.contract.errors import KINDS, Conflict, StudioloError, Unavailable
from studiolo.kit import logs
from studiolo.kit.notify import VARIABLE, NotifyReceiver
from studiolo.server.settings import Settings
from studiolo.server.settings.environment import plain_environment, settings_environment
from studiolo.server.supervisor.data_directory import prepare_data_directory
from studiolo.server.supervisor.parts import log_of
from studiolo.server.supervisor.records import find_running
from studiolo.server.supervisor.run import ERROR_FIELD
from studiolo.server.supervisor.supervisor import SUPERVISOR_LOG

_START_SECONDS = 180.0
_LOOK_SECONDS = 0.1
Progress = Callable[[str], None]


def start_detached(settings: Settings, *, stop_sessions: bool, progress: Progress) -> Settings:
    """Start the platform in the background unless it runs; return the settings of the one that serves.

    Raises the StudioloError that kept it from starting, Unavailable (`timeout`).
    """
    prepare_data_directory(settings)
    if find_running(settings) is None:
        progress(f"Starting on {settings.data_dir} …")
        try:
            asyncio.run(_start(settings, stop_sessions, progress))
        except Conflict as exc:
            # Somebody else was quicker: theirs is as good.
            if exc.code != "already-running":
                raise
    else:
        progress("The platform runs already.")
    return asyncio.run(_serving(settings))


async def _start(settings: Settings, stop_sessions: bool, progress: Progress) -> None:
    log = log_of(settings, SUPERVISOR_LOG)
    with tempfile.TemporaryDirectory(prefix="studiolo-") as folder, NotifyReceiver(Path(folder) / "up") as notify:
        process = _spawn(settings, stop_sessions, log, notify.path)
        waiting = asyncio.create_task(_follow(notify, progress))
        ended = asyncio.create_task(_ended(process))
        either: list[asyncio.Task[Any]] = [waiting, ended]
        await asyncio.wait(either, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not waiting.done():
            # What it said last may still lie in the socket.
            await asyncio.wait([waiting], timeout=0.5)
        for task in either:
            task.cancel()
        if waiting.done():
            waiting.result()
            return
    what = "ended" if ended.done() else f"did not serve within {_START_SECONDS:.0f} s"
    end = "\n  ".join(logs.tail(log, 12))
    raise Unavailable("part-failed", f"The supervisor {what}. Its log is {log}, which ends:\n  {end}")


def _spawn(settings: Settings, stop_sessions: bool, log: Path, notify: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "studiolo.server.supervisor", *(["--stop-sessions"] if stop_sessions else [])]
    env = {**plain_environment(), **settings_environment(settings), VARIABLE: str(notify)}
    with logs.open_log(log) as output:
        return subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
        )


async def _follow(notify: NotifyReceiver, progress: Progress) -> None:
    """Return at READY; raise the error that it reports."""
    while True:
        message = await notify.receive()
        if ERROR_FIELD in message:
            raise _error(json.loads(message[ERROR_FIELD]))
        if message.get("READY") == "1":
            return
        if status := message.get("STATUS"):
            progress(f"{status} …")


async def _ended(process: subprocess.Popen[bytes]) -> None:
    # A thread in wait() could not be given up when the platform is ready.
    while process.poll() is None:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)


def _error(members: Mapping[str, Any]) -> StudioloError:
    kind = KINDS[members["kind"]]
    return kind(members["code"], members["message"], hint=members["hint"], **members["extra"])


async def _serving(settings: Settings) -> Settings:
    """Wait for platform.json and return the settings with its port, which may differ from the one asked for."""
    path = settings.data_dir / "platform.json"
    async with asyncio.timeout(_START_SECONDS):
        while True:
            running = find_running(settings)
            if running is None:
                raise Unavailable("not-running", f"The platform on {settings.data_dir} stopped.", hint="studiolo up")
            announced = _read(path)
            if announced.get("pid") == running.get("pid") is not None:
                return settings.model_copy(update={"port": announced["port"]})
            await asyncio.sleep(_LOOK_SECONDS)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
