"""What a running platform leaves on disk for others to find: its lock, its address, its parts' processes."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from studiolo import __version__
from studiolo.contract.errors import Conflict
from studiolo.kit.files import write_atomically
from studiolo.kit.lock import FileLock, Held, find_holder
from studiolo.kit.processes import ProcessIdentity
from studiolo.server.settings import Settings

_KILL_SECONDS = 10


@contextlib.contextmanager
def held_lock(settings: Settings) -> Iterator[None]:
    """Hold the data directory's lock. Raises Conflict (`already-running`) that names who has it."""
    try:
        lock = FileLock(settings.data_dir / "lock", {"pid": os.getpid(), "address": settings.address}).__enter__()
    except Held as exc:
        raise _already_running(settings, exc.holder) from exc
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def find_running(settings: Settings) -> dict[str, Any] | None:
    """Return `{pid, address}` of the platform on this data directory, or None."""
    return find_holder(settings.data_dir / "lock")


def announce(settings: Settings) -> None:
    """Write platform.json, from which the command line finds the platform."""
    content = {
        "address": settings.address,
        "port": settings.port,
        "instance": settings.instance,
        "pid": os.getpid(),
        "version": __version__,
    }
    write_atomically(settings.data_dir / "platform.json", json.dumps(content, indent=2) + "\n")


def withdraw(settings: Settings) -> None:
    """Remove platform.json."""
    (settings.data_dir / "platform.json").unlink(missing_ok=True)


def record_processes(settings: Settings, pids: Mapping[str, int]) -> None:
    """Note the parts' processes, so that the next start can end what a killed supervisor left."""
    known = {name: identity for name, pid in pids.items() if (identity := ProcessIdentity.of(pid))}
    content = {name: {"pid": identity.pid, "started": identity.started} for name, identity in known.items()}
    write_atomically(settings.data_dir / "processes.json", json.dumps(content))


def end_leftovers(settings: Settings) -> list[str]:
    """Kill recorded parts that still run, and return their names. Call it with the lock held."""
    try:
        recorded = json.loads((settings.data_dir / "processes.json").read_text())
        leftovers = {name: ProcessIdentity(int(it["pid"]), float(it["started"])) for name, it in recorded.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    ended = [name for name, identity in leftovers.items() if identity.is_alive()]
    for name in ended:
        leftovers[name].kill_group(wait_seconds=_KILL_SECONDS)
    return ended


def _already_running(settings: Settings, holder: Mapping[str, Any]) -> Conflict:
    where = f" at {holder['address']} (process {holder['pid']})" if {"pid", "address"} <= set(holder) else ""
    return Conflict(
        "already-running",
        f"A platform runs on {settings.data_dir} already{where}.",
        hint="`studiolo down` stops it; another data directory and port run a second one beside it.",
        **{name: holder[name] for name in ("pid", "address") if name in holder},
    )
