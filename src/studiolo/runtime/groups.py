"""The control group of one launch: limits, counters, and the end of all processes in it."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from studiolo.runtime import cgroups

_PERIOD_MICROSECONDS = 100_000
_LEAST_QUOTA_MICROSECONDS = 1000
_NO_LIMIT = 2**62
_KILL_SECONDS = 5.0
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Group:
    """One folder per controller; with version 2 they are all the same one.

    Questions answer None where their controller is missing or the group is gone.
    """

    folders: Mapping[str, Path]

    @classmethod
    def of(cls, places: Mapping[str, str | Path], name: str) -> "Group":
        """Return the group called `name` in `places` (see cgroups.find_places), made or not."""
        return cls({controller: Path(place) / name for controller, place in places.items()})

    @classmethod
    def around(cls) -> "Group":
        """Return the group that somebody has put this process into with a limit of memory; an empty one without it."""
        own = {name: found.own for found in reversed(cgroups.list_hierarchies()) for name in found.controllers}
        group = cls(own)
        return group if group.read_memory_limit() is not None else cls({})

    def make(self, *, cpu: float | None, memory: int | None, processes: int | None) -> None:
        """Make the group with its limits: processors, bytes, processes and threads. Raises OSError."""
        for folder in self._distinct():
            cgroups.make(folder)
        if memory is not None and "memory" in self.folders:
            _limit_memory(self.folders["memory"], memory)
        if processes is not None and "pids" in self.folders:
            (self.folders["pids"] / "pids.max").write_text(str(processes))
        if cpu is not None and "cpu" in self.folders:
            _limit_cpu(self.folders["cpu"], max(_LEAST_QUOTA_MICROSECONDS, round(cpu * _PERIOD_MICROSECONDS)))

    def enter(self) -> None:
        """Move this process, with all its threads, into the group. Raises OSError."""
        for folder in self._distinct():
            (folder / "cgroup.procs").write_text("0")

    def list_pids(self) -> list[int]:
        """Return the processes in the group, in groups made inside it too."""
        return sorted({pid for folder in self._distinct() for pid in _pids(folder)})

    def end(self) -> bool:
        """Kill all that is in the group and remove it; False when something could not be ended. Repeatable."""
        deadline = time.monotonic() + _KILL_SECONDS
        with contextlib.suppress(OSError, KeyError):
            # Whatever forks faster than we kill forks no more.
            (self.folders["pids"] / "pids.max").write_text("0")
        while pids := self.list_pids():
            _kill(pids)
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        left = [folder for folder in self._distinct() if not cgroups.remove(folder)]
        return not left

    @property
    def kills_file(self) -> Path | None:
        """The file that counts kills for lack of memory as `oom_kill N`."""
        if (folder := self.folders.get("memory")) is None:
            return None
        return folder / ("memory.events" if cgroups.is_version_2(folder) else "memory.oom_control")

    def count_kills(self) -> int | None:
        """Return how often something in the group was killed for lack of memory."""
        return _member(self.kills_file, "oom_kill") if self.kills_file else None

    def read_memory(self) -> int | None:
        """Return the bytes in use, less files' contents that can be dropped at once."""
        if (folder := self.folders.get("memory")) is None:
            return None
        names = (
            ("memory.current", "inactive_file")
            if cgroups.is_version_2(folder)
            else ("memory.usage_in_bytes", "total_inactive_file")
        )
        used = _number(folder / names[0])
        return None if used is None else max(0, used - (_member(folder / "memory.stat", names[1]) or 0))

    def read_memory_limit(self) -> int | None:
        """Return the bytes that may be in use at a time, by the group's limit or one around it; None without one."""
        if (folder := self.folders.get("memory")) is None:
            return None
        name = "memory.max" if cgroups.is_version_2(folder) else "memory.limit_in_bytes"
        limits = [_number(place / name) for place in (folder, *folder.parents)]
        # Version 1 has no word for "none" but the largest number of pages.
        return min((limit for limit in limits if limit is not None and limit < _NO_LIMIT), default=None)

    def read_memory_peak(self) -> int | None:
        """Return the most bytes that were in use at a time, files' contents included. Version 2: from Linux 5.19 on."""
        if (folder := self.folders.get("memory")) is None:
            return None
        return _number(folder / ("memory.peak" if cgroups.is_version_2(folder) else "memory.max_usage_in_bytes"))

    def read_cpu_seconds(self) -> float | None:
        """Return the processor time of all that ever ran in the group."""
        if (folder := self.folders.get("cpuacct")) is not None:
            nanoseconds = _number(folder / "cpuacct.usage")
            return None if nanoseconds is None else nanoseconds / 1e9
        if (folder := self.folders.get("cpu")) is not None:
            microseconds = _member(folder / "cpu.stat", "usage_usec")
            return None if microseconds is None else microseconds / 1e6
        return None

    def count_processes(self) -> int | None:
        """Return the number of processes and threads, which is what the limit counts."""
        folder = self.folders.get("pids")
        return None if folder is None else _number(folder / "pids.current")

    def _distinct(self) -> list[Path]:
        return list(dict.fromkeys(self.folders.values()))


def _limit_memory(folder: Path, size: int) -> None:
    is_second = cgroups.is_version_2(folder)
    (folder / ("memory.max" if is_second else "memory.limit_in_bytes")).write_text(str(size))
    # Swap would turn the limit into a machine that is slow for everybody. Kernels may be built without it.
    swap = folder / ("memory.swap.max" if is_second else "memory.memsw.limit_in_bytes")
    if swap.exists():
        swap.write_text("0" if is_second else str(size))


def _limit_cpu(folder: Path, quota: int) -> None:
    if cgroups.is_version_2(folder):
        (folder / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")
    else:
        (folder / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
        (folder / "cpu.cfs_quota_us").write_text(str(quota))


def _pids(folder: Path) -> Iterator[int]:
    for inner, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            yield from map(int, (Path(inner) / "cgroup.procs").read_text().split())


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _number(file: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text())
    return None


def _member(file: Path, name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    return None
