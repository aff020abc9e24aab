"""Processes as the kernel tells them: who lives, since when, and who descends from whom."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
# In thousandths of the memory that ran out, as if they used so much more: kernels and terminals go before their
# session's server, sessions before the platform and before their shims.
SERVER_OOM_SCORE = 200
WORK_OOM_SCORE = 700


class Process(NamedTuple):
    """A process that is no zombie. `start_time` tells it from a later one with the same id."""

    pid: int
    parent: int
    start_time: str


def find_process(pid: int) -> Process | None:
    """Return the living process with this id; None when it is gone or a zombie."""
    if not _LINUX:
        return next(iter(_from_ps("-p", str(pid))), None)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name stands in parentheses and may hold anything, parentheses too.
    state, parent, *rest = stat[stat.rindex(b")") + 2 :].split()
    if state in (b"Z", b"X"):
        return None
    return Process(pid, int(parent), rest[17].decode())


def is_alive(pid: int, start_time: str) -> bool:
    """Tell whether the very process that had this id at `start_time` lives."""
    found = find_process(pid)
    return found is not None and found.start_time == start_time


def list_processes() -> list[Process]:
    """Return all living processes of the machine."""
    if not _LINUX:
        return _from_ps("-ax")
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [found for pid in pids if (found := find_process(pid)) is not None]


def list_descendants(pid: int) -> list[Process]:
    """Return children, grandchildren and so on of `pid`, parents first."""
    children: dict[int, list[Process]] = {}
    for process in list_processes():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    level = children.get(pid, [])
    while level:
        found += level
        level = [child for process in level for child in children.get(process.pid, [])]
    return found


def list_marked(name: str, value: str) -> list[Process]:
    """Return the living processes of this account that were exec'd with `name`=`value` in their variables."""
    marker = f"{name}={value}"
    if not _LINUX:
        return _from_ps("-axE", containing=marker)
    found = []
    for process in list_processes():
        with contextlib.suppress(OSError):
            if marker.encode() in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                found.append(process)
    return found


def send_signal(processes: Iterable[Process], number: signal.Signals) -> None:
    """Signal each of `processes` that still is the one that was seen."""
    for process in processes:
        if is_alive(process.pid, process.start_time):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, number)


def boot_id() -> str:
    """Return what identifies this run of the machine."""
    if _LINUX:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return _output("/usr/sbin/sysctl", "-n", "kern.boottime").strip()


def become_subreaper() -> None:
    """Have orphaned descendants handed to this process instead of init (Linux only)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(parent: int) -> None:
    """Have this process sent SIGTERM when `parent` dies (Linux only); exits at once if it is dead already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def offer_to_oom_killer(score: int, pid: int | None = None) -> None:
    """Have `pid` (default: us) and its later children taken before others when memory runs out (Linux only)."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid or 'self'}/oom_score_adj").write_text(str(score))


def name_process(name: str) -> None:
    """Set the name that `top` and `ps -o comm` show (Linux only, 15 bytes)."""
    _prctl(_PR_SET_NAME, ctypes.create_string_buffer(name.encode()[:15]))


def _prctl(option: int, value: object) -> None:
    if _LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _from_ps(*selection: str, containing: str = "") -> list[Process]:
    lines = _output("/bin/ps", *selection, "-ww", "-o", "pid=,ppid=,state=,lstart=,command=").splitlines()
    found = []
    for line in lines:
        pid, parent, state, *rest = line.split(maxsplit=8)
        if not state.startswith("Z") and containing in line:
            found.append(Process(int(pid), int(parent), " ".join(rest[:5])))
    return found


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout
