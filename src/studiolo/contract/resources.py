"""Wire models of what a session may use, what an engine has, and what was used. Sizes are bytes, times aware UTC."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, ConfigDict, Field

from studiolo.contract.durations import Seconds
from studiolo.contract.shape import Shape, Strict
from studiolo.contract.sizes import Size

# Processors may be shared out in hundredths.
CPU = Annotated[float, Field(ge=0.01, le=4096)]


class Resources(Shape):
    """What is asked for; a member left out means: as the profile, the workspace or the platform says."""

    model_config = ConfigDict(extra="forbid")

    cpu: CPU | None = Field(None, description="Processors, for example 4 or 0.5.", examples=[4])
    memory: Size | None = None
    gpu: Annotated[int, Field(ge=0, le=64)] | None = Field(None, description="Number of GPUs.", examples=[1])
    gpu_type: str | None = Field(None, max_length=100, examples=["nvidia-tesla-v100"])
    disk: Size | None = None
    image: str | None = Field(None, max_length=500, examples=["jupyter/scipy-notebook:latest"])
    time_limit: Seconds | None = None

    def over(self, base: "Resources") -> "Resources":
        """Return `base` with the members given here in place of its own."""
        return base.model_copy(update=self.model_dump(exclude_none=True))


class Profile(Shape):
    """A named size that administrators define (a T-shirt size). `resources` may leave members open."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["medium"])
    title: str = Field("", max_length=100, description="What people read; empty: the name.")
    description: str = Field("", max_length=500)
    resources: Resources = Field(default_factory=Resources)
    engines: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Options for single engines, by their names: a partition, a node selector.",
        examples=[{"slurm": {"partition": "gpu"}}],
    )
    people: list[str] = Field(
        default_factory=list, max_length=1000, description="Names of those who may use it; empty: everybody."
    )
    deprecated: str = Field(
        "", max_length=500, description="What people read who choose it though they should not; empty: it is current."
    )


class VolumeInfo(Shape):
    """Storage that a workspace may attach; its sessions find it at `/volumes/<name>` where the engine attaches some."""

    name: str
    description: str
    read_only: bool
    engines: list[str] = Field(description="Engines that can attach it.")


class Profiles(Shape):
    """The profiles of a platform, and what may be asked for without one."""

    profiles: list[Profile]
    default: str | None = Field(description="The profile that counts where nothing is said.")
    only_profiles: bool = Field(description="Whether free numbers beside a profile are refused.")
    largest: Resources = Field(description="The largest that may be asked for.")
    gpu_types: dict[str, str] = Field(default_factory=dict, description="Types of GPU by name, with what they are.")
    volumes: list[VolumeInfo] = Field(default_factory=list, description="Volumes that you may attach.")


class Capacity(Shape):
    """What an engine's machine has, and how much of it sessions have claimed. None: not known."""

    cpu: float | None = None
    cpu_claimed: float = 0
    memory: int | None = None
    memory_claimed: int = 0
    gpu: int | None = None
    gpu_claimed: int = 0


LimitKind = Literal["cgroup-v2", "cgroup-v1", "rlimit", "engine", "none"]
# Threat model, section 2.
Isolation = Literal["L0", "L1", "L2", "L3", "L4"]


class Enforcement(Shape):
    """How an engine keeps a session to its limits, said openly: `none` means the number is advice only.

    `engine`: it enforces the limit by means of its own (a scheduler, a daemon).
    """

    cpu: LimitKind = "none"
    memory: LimitKind = "none"
    processes: LimitKind = "none"
    note: str = Field("", description="The same as a sentence for people.")


class EngineInfo(Shape):
    """An engine as people see it."""

    name: str
    isolation: str
    isolation_words: str = Field("", description="What that level keeps apart, in a sentence.")
    healthy: bool
    message: str | None = Field(None, description="Why it is not healthy.")
    enforcement: Enforcement
    capacity: Capacity
    images: bool = Field(description="Whether it runs container images; without, `image` is refused.")
    storage: Literal["shared", "own"] = Field(
        "shared", description="`shared`: sessions use the workspace's own folder; `own`: the engine keeps the files."
    )
    default: bool = Field(False, description="Whether it runs what names no engine.")
    remark: str = Field("", description="What people must know before they rely on it.")


class UsageSample(Shape):
    """What a session used at one time. `cpu`: processors, averaged since the sample before."""

    at: datetime
    cpu: float | None
    memory: int | None = Field(description="Bytes that count against its limit, less caches that can be dropped.")
    processes: int | None = None


class MemoryDeath(Shape):
    """Something of a session ran out of memory and was ended, the session itself or one part of it."""

    at: datetime
    what: Literal["kernel", "terminal", "server", "processes"]
    name: str | None = Field(None, description="The notebook or terminal, where known.")
    peak: int | None
    limit: int | None
    message: str = Field(description="The whole of it as a sentence, with what to do.")


class SessionUsage(Shape):
    """What a session uses now, its limits, and its last hour (a sample a minute, oldest first)."""

    now: UsageSample | None
    limits: Resources
    enforcement: Enforcement
    memory_peak: int | None = None
    history: list[UsageSample]
    deaths: list[MemoryDeath] = Field(default_factory=list, description="What ran out of memory, newest first.")


class UsedSpan(Shape):
    """What all sessions of a workspace used in one hour or day."""

    at: datetime = Field(description="When it began.")
    seconds: int = Field(description="3600 or 86400.")
    session_hours: float
    cpu_hours: float
    memory_peak: int = Field(description="Bytes: the most that its sessions had together at a minute's look.")
    disk: int | None = Field(None, description="Bytes of its files at the end, null before they were first measured.")


class WorkspaceHistory(Shape):
    """What a workspace's sessions used: hours of the last week, days of a year before that; oldest first."""

    hours: list[UsedSpan]
    days: list[UsedSpan]


class Scale(Strict):
    """Change what a workspace's sessions may use. Applies to running ones at their next start."""

    model_config = ConfigDict(populate_by_name=True)

    profile: str | None = Field(None, max_length=63, description="A profile's name; free numbers beside it win.")
    resources: Resources = Field(default_factory=Resources, validation_alias=AliasChoices("resources", "limits"))
    engine: str | None = Field(
        None, max_length=32, description="Where its sessions run from their next start on; empty: the default."
    )
    min_isolation: Isolation | None = Field(None, description="The least that a launch must be kept apart by.")
    volumes: list[str] | None = Field(
        None, max_length=20, description="Volumes that it attaches, in place of those before."
    )


class WorkspaceLimits(Shape):
    """What the next session of a workspace may use, where that comes from, and what holds people to it."""

    resources: Resources = Field(description="What counts: free numbers over profile over platform default.")
    profile: str | None
    own: Resources = Field(description="The workspace's own free numbers.")
    largest: Resources = Field(description="The largest that may be asked for.")
    enforcement: Enforcement
    disk_used: int | None = None
    disk_held: bool | None = Field(
        None, description="Whether the file system refuses more than the disk size; not looked at after a change."
    )
    engine: str = Field("", description="Where its next session runs.")
    own_engine: str | None = Field(None, description="The engine that the workspace itself names.")
    min_isolation: Isolation | None = None
    volumes: list[str] = Field(default_factory=list, description="Volumes that it attaches.")
