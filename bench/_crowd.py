"""A crowded database: thousands of workspaces, and sessions that look as if they ran.

Such a session costs no memory: one stand-in process holds the locks that shims hold, and is named as their shim.
To the control plane they are running sessions like any other: it finds them ready and watches that process.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _platform import Platform
from sqlalchemy import Connection, create_engine, insert, select

from studiolo.contract.ids import IdKind, new_id
from studiolo.runtime import processes
from studiolo.server.accounts.tables import people
from studiolo.server.sessions.tables import sessions
from studiolo.server.workspaces.tables import members, workspaces

_HOLD_LOCKS = """
import fcntl, signal, sys
held = [open(path, "w") for path in sys.argv[1:]]
for file in held:
    fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
signal.pause()
"""


@contextlib.contextmanager
def crowd(platform: Platform, *, workspace_count: int, session_count: int) -> Iterator[None]:
    """Fill the database of a platform that is down; the sessions seem to run for the length of the block."""
    engine = create_engine(f"sqlite:///{platform.data / 'studiolo.db'}")
    with engine.begin() as connection:
        person_id = connection.execute(select(people.c.id).order_by(people.c.created_at)).scalars().first()
        chosen = _add_workspaces(connection, str(person_id), workspace_count)[:session_count]
        made = _add_sessions(connection, platform, str(person_id), chosen)
    engine.dispose()
    folders = [platform.data / "sessions" / session / "1" for session in made]
    for folder in folders:
        folder.mkdir(parents=True)
    with _shim_of_all(folders):
        yield


def _add_workspaces(connection: Connection, person_id: str, count: int) -> list[str]:
    ids = [new_id(IdKind.WORKSPACE) for _ in range(count)]
    now = datetime.now(UTC)
    # A `ready` environment, so that none is made for them.
    common = {"owner_id": person_id, "created_at": now, "modified_at": now, "environment_state": "ready"}
    rows = [{"id": one, "name": f"crowd-{number}", **common} for number, one in enumerate(ids)]
    connection.execute(insert(workspaces), rows)
    member = {"person_id": person_id, "role": "owner", "since": now}
    connection.execute(insert(members), [{"workspace_id": one, **member} for one in ids])
    return ids


def _add_sessions(connection: Connection, platform: Platform, person_id: str, chosen: list[str]) -> list[str]:
    ids = [new_id(IdKind.SESSION) for _ in chosen]
    now = datetime.now(UTC)
    common: dict[str, Any] = {
        "person_id": person_id,
        "name": "lab-1",
        "engine": "local",
        **{"desired": "running", "state": "running", "launch": 1, "handle_launch": 1},
        **dict.fromkeys(("requested_at", "created_at", "started_at", "ready_at"), now),
    }
    rows = [
        {
            "id": one,
            "workspace_id": workspace,
            "handle": {"workload_id": one, "launch": 1},
            "upstream": f"unix/{platform.run}/s/{one}.1.sock",
            **common,
        }
        for one, workspace in zip(ids, chosen, strict=True)
    ]
    if rows:
        connection.execute(insert(sessions), rows)
    return ids


@contextlib.contextmanager
def _shim_of_all(folders: list[Path]) -> Iterator[None]:
    argv = [sys.executable, "-c", _HOLD_LOCKS, *(str(folder / "lock") for folder in folders)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            shim = processes.find_process(process.pid)
            assert shim is not None
            known = {"pid": shim.pid, "start_time": shim.start_time, "boot_id": processes.boot_id()}
            for folder in folders:
                (folder / "shim.json").write_text(json.dumps(known))
                (folder / "ready").touch()
            yield
        finally:
            process.kill()
