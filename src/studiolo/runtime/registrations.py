"""Kernels of a session that its server knows nothing of: each has a file in a folder of the session's run folder.

A kernel's shim writes it, the session's shim reads it: to end the kernels with the session, and to say which of them
was killed for lack of memory. Programs of the session can write such files too; they gain nothing by it, since they
run under the same account.
"""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from studiolo.runtime import processes
from studiolo.runtime.launch import LaunchRequest, read_json, write_json
from studiolo.runtime.parts import Part

# A kernel's shim needs at most its own grace and seven seconds to end what is left; then it is killed with all of it.
_SHIM_SECONDS = 5.0
_KILL_SECONDS = 5.0
_PAUSE_SECONDS = 0.01
_LONGEST_NAME = 256


def write_grounds(request: LaunchRequest) -> None:
    """Write what a kernel host needs to start kernels in this session, readable by this account alone. Raises OSError.

    A kernel's registration is `<kernel id>.json` in the folder `register`, which is made too.
    """
    request.kernels_folder.mkdir(mode=0o700, exist_ok=True)
    umask = os.umask(0o077)
    try:
        write_json(request.grounds_file, describe_grounds(request))
    finally:
        os.umask(umask)


def describe_grounds(request: LaunchRequest) -> dict[str, Any]:
    """Return what a kernel host needs to start kernels in this session; it holds secrets.

    {environment, folder, start_folder, variables, groups, group, marker, kernelspecs: [folder], register: folder,
    limits: {cpu, memory, processes}, namespaces: those of its enclosure}.
    """
    return {
        "environment": request.environment,
        "folder": request.folder,
        "start_folder": request.start_folder,
        "variables": dict(request.variables),
        "groups": dict(request.groups),
        "group": request.name if request.groups else "",
        "marker": request.name,
        "kernelspecs": [str(folder) for folder in request.kernelspec_folders],
        "register": str(request.kernels_folder),
        "limits": {"cpu": request.cpu_limit, "memory": request.memory_limit, "processes": request.process_limit},
        "namespaces": list(request.namespaces),
    }


def register(file: Path, shim_pid: int, kernel_pid: int, path: str) -> None:
    """Write {pid, start_time, kernel_pid, kernel_start_time, path}; `kernel_pid` 0: not forked yet. Raises OSError."""
    shim, kernel = processes.find_process(shim_pid), processes.find_process(kernel_pid)
    record = {
        "pid": shim_pid,
        "start_time": shim.start_time if shim else "",
        "kernel_pid": kernel_pid,
        "kernel_start_time": kernel.start_time if kernel else "",
        "path": path[:_LONGEST_NAME] or None,
    }
    write_json(file, record)


def list_kernels(folder: Path) -> list[Part]:
    """Return the registered kernels, dead ones too."""
    parts = []
    for record in _read(folder):
        path = record.get("path")
        known = (record["kernel_pid"], record["kernel_start_time"])
        parts += [Part(*known, "kernel", path if isinstance(path, str) else None)] if known[0] else []
    return parts


def end_kernels(folder: Path) -> None:
    """End the registered kernels: their shims are asked, then killed with all that descends from them.

    Nobody registers from then on: the folder loses its name first.
    """
    ended = folder.with_name(f"{folder.name}.ended")
    with contextlib.suppress(OSError):
        folder.rename(ended)
    asked = _shims(ended)
    processes.send_signal(asked, signal.SIGTERM)
    _await(asked, _SHIM_SECONDS)
    for _ in range(int(_KILL_SECONDS / _PAUSE_SECONDS)):
        left = [shim for shim in _shims(ended) if processes.is_alive(shim.pid, shim.start_time)]
        left += [kernel for part in list_kernels(ended) if (kernel := _find(part.pid, part.start_time))]
        if not left:
            return
        doomed = [process for one in left for process in processes.list_descendants(one.pid)]
        processes.send_signal([*left, *doomed], signal.SIGKILL)
        time.sleep(_PAUSE_SECONDS)


def _await(asked: list[processes.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(processes.is_alive(one.pid, one.start_time) for one in asked) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)


def _shims(folder: Path) -> list[processes.Process]:
    return [shim for record in _read(folder) if (shim := _find(record["pid"], record["start_time"]))]


def _find(pid: int, start_time: str) -> processes.Process | None:
    found = processes.find_process(pid)
    return found if found is not None and found.start_time == start_time else None


def _read(folder: Path) -> list[dict[str, Any]]:
    records = [read_json(file) for file in folder.glob("*.json")]
    kinds = {"pid": int, "start_time": str, "kernel_pid": int, "kernel_start_time": str}
    return [
        record
        for record in records
        if record is not None and all(type(record.get(name)) is kind for name, kind in kinds.items())
    ]
