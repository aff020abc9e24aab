"""What the daemon says of its machine, and of what a container uses, in the words of engines."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from studiolo.engines.base import Death, Machine, Usage


@dataclass(frozen=True, slots=True)
class Facts:
    """What matters of a daemon. `groups`: version of control groups that holds containers to limits; None: nothing."""

    is_podman: bool
    is_rootless: bool
    groups: int | None
    cpu: float | None
    memory: int | None
    can_limit_cpu: bool
    can_limit_memory: bool
    can_limit_processes: bool

    @classmethod
    def read(cls, info: Mapping[str, Any], version: Mapping[str, Any]) -> "Facts":
        """Read what `GET /info` and `GET /version` answer."""
        security = [str(option) for option in info.get("SecurityOptions") or []]
        is_rootless = bool(info.get("Rootless")) or any("rootless" in option for option in security)
        groups = 2 if str(info.get("CgroupVersion")) == "2" else 1
        # Without root there is nobody to hand out groups of version 1, and the daemon leaves limits out unasked.
        holds = not (is_rootless and groups == 1) and info.get("CgroupDriver") != "none"
        parts = [str(part.get("Name")) for part in version.get("Components") or []]
        return cls(
            is_podman=any("podman" in name.lower() for name in parts),
            is_rootless=is_rootless,
            groups=groups if holds else None,
            cpu=float(info["NCPU"]) if info.get("NCPU") else None,
            memory=int(info["MemTotal"]) if info.get("MemTotal") else None,
            can_limit_cpu=holds and bool(info.get("CpuCfsQuota", info.get("CPUCfsQuota"))),
            can_limit_memory=holds and bool(info.get("MemoryLimit")),
            can_limit_processes=holds and bool(info.get("PidsLimit")),
        )

    @property
    def holds_limits(self) -> bool:
        """Whether a container gets no more of anything than it may."""
        return self.can_limit_cpu and self.can_limit_memory and self.can_limit_processes

    def machine(self, gpus: int) -> Machine:
        """Return it as engines tell it."""
        kind = f"cgroup-v{self.groups}"
        return Machine(
            cpu=self.cpu,
            memory=self.memory,
            gpu=gpus,
            cpu_limits=kind if self.can_limit_cpu else "none",
            memory_limits=kind if self.can_limit_memory else "none",
            process_limits=kind if self.can_limit_processes else "none",
        )


def read_usage(stats: Mapping[str, Any], deaths: tuple[Death, ...]) -> Usage:
    """Read what `GET /containers/{name}/stats` answers: memory in bytes, processor time in nanoseconds."""
    memory = stats.get("memory_stats") or {}
    held = memory.get("stats") or {}
    # Contents of files that can be dropped at once are no use of memory; each version has its own name for them.
    cache = held.get("inactive_file", held.get("total_inactive_file", 0))
    used = memory.get("usage")
    spent = ((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage")
    return Usage(
        at=datetime.now(UTC),
        cpu_seconds=spent / 1e9 if spent is not None else None,
        memory=max(0, used - cache) if used is not None else None,
        memory_peak=memory.get("max_usage") or None,
        processes=(stats.get("pids_stats") or {}).get("current"),
        deaths=deaths,
    )
