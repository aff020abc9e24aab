"""Holding sessions and kernels to their limits: by a control group where that works, else by limits of each process."""

import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from studiolo.runtime.groups import Group


class Limited(Protocol):
    """What of a launch's request concerns limits; see LaunchRequest. `name`: the control group's."""

    @property
    def name(self) -> str: ...
    @property
    def groups(self) -> Mapping[str, str]: ...
    @property
    def cpu_limit(self) -> float | None: ...
    @property
    def memory_limit(self) -> int | None: ...
    @property
    def process_limit(self) -> int | None: ...


def make_group(request: Limited) -> Group:
    """Make the launch's group with its limits; an empty one where no controller can be used. Raises OSError."""
    group = Group.of(request.groups, request.name)
    group.make(cpu=request.cpu_limit, memory=request.memory_limit, processes=request.process_limit)
    return group


def enter(request: Limited) -> None:
    """Put this process, and so all that it will start, under the launch's limits. Raises OSError.

    Called in the process that becomes the session or kernel before it runs anything of its person.
    """
    Group.of(request.groups, request.name).enter()
    if request.memory_limit is not None and "memory" not in request.groups and can_limit_memory():
        _lower(resource.RLIMIT_DATA, request.memory_limit)
    if request.process_limit is not None and "pids" not in request.groups and can_limit_processes():
        _lower(resource.RLIMIT_NPROC, request.process_limit + _count_tasks(os.getuid()))


def can_limit_memory() -> bool:
    """Tell whether each process can be held to a size of its data: elsewhere than on Linux nothing heeds it.

    The size of addresses (RLIMIT_AS) is no measure: threads and memory-mapped files reserve many times what they use.
    """
    return sys.platform == "linux"


def can_limit_processes() -> bool:
    """Tell whether the account can be held to a number of processes; root never is.

    The number counts all of the account, so what ran before the session is added to the session's own limit.
    """
    return sys.platform == "linux" and os.geteuid() != 0


def _lower(kind: int, limit: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def _count_tasks(uid: int) -> int:
    """Return the number of threads of an account."""
    count = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and folder.stat().st_uid == uid:
                # The 20th member of the line; the second stands in parentheses and may hold anything.
                count += int((folder / "stat").read_text().rpartition(")")[2].split()[17])
        except OSError:
            continue
    return count
