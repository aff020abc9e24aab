"""A launch's files in a folder that the platform shares with what runs there: what it is told, and what it tells.

What it tells was written by somebody's code: nothing of it is believed further than a person can be shown it, and no
name in that folder leads out of it.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from studiolo.engines.base import Death, Exit, WorkloadSpec
from studiolo.engines.logs import open_written
from studiolo.engines.variables import session_variables
from studiolo.kit.files import write_atomically
from studiolo.runtime.launch import LaunchFiles, LaunchRequest

_MAX_RECORD_BYTES = 256 * 1024
_MAX_MESSAGE = 1000
_EXIT = TypeAdapter(Exit)
_DEATHS = TypeAdapter(list[Death])
_ADDRESS = TypeAdapter(str)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a launch has its things, as it sees them itself.

    `files`: see LaunchFiles; `run_folder` and `socket` as in LaunchRequest; `private_folder` outlives the launch and
    holds Jupyter's own files and what its kernels put out; `tools`: programs that are used where there are no others.
    """

    files: LaunchFiles
    run_folder: Path
    socket: Path
    private_folder: Path
    tools: Path


def make_request(
    spec: WorkloadSpec,
    places: Places,
    *,
    grace: timedelta,
    machine: Mapping[str, str],
    groups: Mapping[str, Path] | None = None,
    listen: str = "",
    advertise: str = "",
    log_to_stdout: bool = False,
    host_port: int = 0,
) -> LaunchRequest:
    """Return what the launch of `spec` is told. `machine`: the variables of which sessions there see a few.

    The folders of `spec` must be as the workload sees them. The rest as in LaunchRequest.
    """
    return LaunchRequest(
        workload_id=spec.workload_id,
        launch=spec.launch,
        launch_folder=str(places.files.folder),
        run_folder=str(places.run_folder),
        socket=str(places.socket),
        folder=str(spec.folder),
        start_folder=spec.start_folder,
        environment=str(spec.environment),
        base_url=spec.base_url,
        grace_seconds=grace.total_seconds(),
        secret=spec.secret,
        api_key=spec.api_key,
        platform_url=spec.platform_url,
        variables=session_variables(
            spec,
            run_folder=places.run_folder,
            private_folder=places.private_folder,
            tools=places.tools,
            machine=machine,
        ),
        tool_files=dict(spec.tool_files),
        netrc=spec.netrc,
        cpu_limit=spec.limits.cpu,
        memory_limit=spec.limits.memory,
        process_limit=spec.limits.processes,
        groups={controller: str(place) for controller, place in (groups or {}).items()},
        listen=listen,
        advertise=advertise,
        log_to_stdout=log_to_stdout,
        # Sessions of a workspace may have one private folder.
        host_folder=str(places.private_folder / "kernel-host" / spec.workload_id),
        host_port=host_port,
        only_kernels=spec.only_kernels,
    )


def write_request(files: LaunchFiles, request: LaunchRequest) -> None:
    """Put the request where `studiolo.runtime.workload` reads it; it holds secrets. Raises OSError."""
    files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(files.request, request.to_line())


def read_address(files: LaunchFiles) -> str | None:
    """Return where the server listens, as it sees it itself: `unix//path` or `host:port`; None until it does."""
    with suppress(ValidationError):
        return _ADDRESS.validate_python(_read(files.ready).get("address"))
    return None


def read_kernels_address(files: LaunchFiles) -> str | None:
    """Return where the kernel host beside the server listens, as `read_address`; None where there is none."""
    with suppress(ValidationError):
        return _ADDRESS.validate_python(_read(files.ready).get("kernels")) or None
    return None


def read_exit(files: LaunchFiles) -> Exit | None:
    """Return how the launch ended; None while it has not said so."""
    record = _read(files.exit)
    if not record:
        return None
    try:
        return _EXIT.validate_python(record | {"message": str(record.get("message"))[:_MAX_MESSAGE]})
    except ValidationError:
        return Exit("vanished", "What the session left behind about its end cannot be read.", datetime.now(UTC))


def list_deaths(files: LaunchFiles) -> list[Death]:
    """Return what of the launch was killed for lack of memory, oldest first."""
    with suppress(ValidationError):
        return _DEATHS.validate_python(_read(files.deaths).get("deaths", []))
    return []


def last_death(files: LaunchFiles) -> int:
    """Return something that changes with each death that is told."""
    try:
        return files.deaths.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`; an empty one when there is none."""
    with suppress(OSError, ValueError, RecursionError), open_written(path) as file:
        value = json.loads(file.read(_MAX_RECORD_BYTES))
        return value if isinstance(value, dict) else {}
    return {}
