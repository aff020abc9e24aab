"""What this machine has, where its control groups are, and what a launch uses of it."""

import asyncio
import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from studiolo.engines.base import Death, Machine, Usage
from studiolo.engines.launch_files import list_deaths
from studiolo.engines.local.gpus import GPUs
from studiolo.engines.local.launches import Launch
from studiolo.runtime import cgroups, limits
from studiolo.runtime.launch import read_json
from studiolo.runtime.usage import ProcessTable


class Measuring:
    """Tries out this machine once, and measures launches on it. `data_dir` tells platforms on one machine apart."""

    def __init__(self, data_dir: Path, gpus: GPUs) -> None:
        self._gpus = gpus
        self._name = f"studiolo-{hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:8]}"
        self._lock = asyncio.Lock()
        self._places: dict[str, Path] | None = None
        self._machine: Machine | None = None
        self._table = ProcessTable()

    async def find_places(self) -> dict[str, Path]:
        """Return for each usable controller where the launches' groups are made; the first call tries it out."""
        async with self._lock:
            if self._places is None:
                self._places = await asyncio.to_thread(cgroups.find_places, self._name)
        return self._places

    def try_limits(self) -> bool:
        """Tell whether control groups hold all of a launch to its limits. Blocking, some milliseconds."""
        self._places = cgroups.find_places(self._name)
        machine = describe_machine(self._places)
        return not {machine.cpu_limits, machine.memory_limits, machine.process_limits} & {"none", "rlimit"}

    async def describe(self) -> Machine:
        """See Measures.describe. The first call may take some ten milliseconds, with GPUs longer."""
        if self._machine is None:
            self._machine = await asyncio.to_thread(describe_machine, await self.find_places())
        gpus = await self._gpus.look()
        return replace(self._machine, gpu=len(gpus), gpus=gpus)

    async def aclose(self) -> None:
        """Look at nothing any more."""
        await self._gpus.aclose()

    async def measure(self, launch: Launch) -> Usage | None:
        """See Measures.measure."""
        # The shim writes down the end first and dies then.
        if launch.files.exit.exists() or not launch.is_held():
            return None
        group = launch.group()
        deaths = tuple(list_deaths(launch.files))
        if (memory := group.read_memory()) is not None:
            return Usage(
                at=datetime.now(UTC),
                cpu_seconds=group.read_cpu_seconds(),
                memory=memory,
                memory_peak=group.read_memory_peak(),
                processes=group.count_processes(),
                deaths=deaths,
            )
        return await self._measure_by_table(launch, deaths)

    async def _measure_by_table(self, launch: Launch, deaths: tuple[Death, ...]) -> Usage:
        shim = (read_json(launch.files.shim) or {}).get("pid", 0)
        sums = await asyncio.to_thread(self._table.sum_below, shim)
        return Usage(
            at=datetime.now(UTC),
            cpu_seconds=sums.cpu_seconds if sums else None,
            memory=sums.memory if sums else None,
            memory_peak=None,
            processes=sums.tasks if sums else None,
            deaths=deaths,
        )


def describe_machine(places: Mapping[str, Path]) -> Machine:
    """Return what this process may use of the machine, GPUs apart."""
    processors = _count_processors()
    quota = cgroups.own_cpu_limit()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpu=min(processors, quota) if quota else processors,
        memory=min(memory, cgroups.own_memory_limit() or memory),
        gpu=None,
        cpu_limits=_kind(places, "cpu", can_be_else=False),
        memory_limits=_kind(places, "memory", can_be_else=limits.can_limit_memory()),
        process_limits=_kind(places, "pids", can_be_else=limits.can_limit_processes()),
    )


def _kind(places: Mapping[str, Path], controller: str, *, can_be_else: bool) -> str:
    if controller not in places:
        return "rlimit" if can_be_else else "none"
    # The place is there only while launches are.
    return "cgroup-v2" if cgroups.is_version_2(places[controller].parent) else "cgroup-v1"


def _count_processors() -> float:
    return float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
