"""The engine interface: three repeatable verbs, and small capabilities that an engine may add."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from studiolo.runtime.recipes import Recipe

Storage = Literal["shared", "own"]
# A JSON object that only the engine understands; we store it and hand it back.
Handle = dict[str, Any]
# Asks for the (workload_id, launch) of all that is wanted now.
AskWanted = Callable[[], Awaitable[set[tuple[str, int]]]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a workload may use; None: no limit. `cpu` in processors, `memory` and `disk` in bytes.

    `gpu`: how many, of the type `gpu_type` as the engine's settings name it; `seconds`: how long it may run.
    """

    cpu: float | None = None
    memory: int | None = None
    processes: int | None = None
    gpu: int = 0
    gpu_type: str | None = None
    disk: int | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """Storage besides the workspace's folder, found at `/volumes/<name>` on each engine that attaches volumes.

    `path`: a folder of the machine, or of all machines that share it; `claim`: a PersistentVolumeClaim of the cluster.
    At least one is there; an engine uses the one that it can (see Attaches).
    """

    name: str
    path: Path | None = None
    claim: str | None = None
    read_only: bool = True


class Phase(StrEnum):
    """What an engine can see of a workload."""

    # Taken on, but it waits for its turn or for a place; Observation.message says for what. Takes no start's time.
    PENDING = "pending"
    STARTING = "starting"
    READY = "ready"
    ENDED = "ended"
    # The engine could not be asked. Never a reason to conclude that the workload ended.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """What to run. `(workload_id, launch)` names the object on the engine, so that `start` is repeatable.

    `secret` reaches the workload by a private channel, never by file, argument or environment of others.
    `variables` are added to the workload's environment variables. `tool_files` (contents by absolute path) are there
    before it starts; `netrc` (lines, secret) is in a private file, after what the account's own says, that NETRC names.

    `image`: what to run it in, for engines that run images. `datasets`: read-only folders by name. `person` (name of an
    account of ours) and `labels` (words for people, by name) are untrusted text: an engine escapes or leaves out.
    `options`: what the profile says for this engine (a partition, a node selector, …), checked by the engine's model.
    `volumes`: only of those that the engine can attach (see Attaches). `recipe`: what `environment` holds, for engines
    that keep files themselves and make it where the workload runs (decision 014). `workspace_id`: whose session it is.
    """

    workload_id: str
    launch: int
    folder: Path
    environment: Path
    base_url: str
    secret: str = field(repr=False)
    platform_url: str = ""
    api_key: str = field(default="", repr=False)
    start_folder: str = "notebooks"
    variables: Mapping[str, str] = field(default_factory=dict)
    tool_files: Mapping[str, str] = field(default_factory=dict)
    netrc: str = field(default="", repr=False)
    limits: Limits = field(default_factory=Limits)
    image: str | None = None
    datasets: Mapping[str, Path] = field(default_factory=dict)
    person: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    # No notebook server but our kernel host in its place, for engines that are HostsKernels.
    only_kernels: bool = False
    volumes: tuple[Volume, ...] = ()
    recipe: Recipe | None = None
    workspace_id: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a workload ended. `code` or `signal` is set, or neither when nobody saw the end.

    `reason`: stopped, server-exited, killed, out-of-memory, never-ready, vanished, time-limit, evicted, cancelled
    (by somebody at the engine itself), image-missing, no-capacity.
    """

    reason: str
    message: str
    at: datetime
    code: int | None = None
    signal: int | None = None
    memory_peak: int | None = None
    memory_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Death:
    """A part of a workload that ran out of memory while the workload went on (or the workload itself).

    `what`: kernel, terminal, server or processes; `pid`: of the process that was ended, where known.
    """

    at: datetime
    what: str
    peak: int | None
    limit: int | None
    pid: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a workload has used. `cpu_seconds`: of all its processes since its start. Sizes in bytes."""

    at: datetime
    cpu_seconds: float | None
    memory: int | None
    memory_peak: int | None
    processes: int | None
    deaths: tuple[Death, ...] = ()


@dataclass(frozen=True, slots=True)
class GPU:
    """One GPU. `id`: its UUID, by which CUDA_VISIBLE_DEVICES names it; `type`: as people ask for it; `model`: as its
    maker calls it. `memory` and `memory_used` in bytes, `utilisation` from 0 to 1; None: not known.
    """

    id: str
    type: str
    model: str = ""
    memory: int | None = None
    memory_used: int | None = None
    utilisation: float | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What the engine's machine has (None: unknown) and how limits are enforced there.

    `cpu_limits`, `memory_limits`, `process_limits`: cgroup-v2, cgroup-v1, rlimit, engine (it enforces them by means of
    its own, measured or documented) or none. `gpus`: those that the platform leases one by one; of an engine that
    hands out its own, `gpu` says how many. `cpu_taken` and the like: how much of it nobody can have now by the
    engine's own count, which is of others' workloads too; 0 where it does not count.
    """

    cpu: float | None
    memory: int | None
    gpu: int | None
    cpu_limits: str
    memory_limits: str
    process_limits: str
    gpus: tuple[GPU, ...] = ()
    cpu_taken: float = 0
    memory_taken: int = 0
    gpu_taken: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What the engine saw. `upstream` is set when READY: a Caddy upstream, `unix//path` or `host:port`.

    Of an engine that is Fronts it is `http://host:port` or `https://host:port`. `kernels`: upstream of the kernel host
    beside the server of a READY one (decision 009), the same for as long as the launch runs; None: kernels are the
    server's own.

    `message`: for UNKNOWN why; for PENDING and STARTING what happens now ("Pulling the image: 40 %.", "In the queue:
    Priority."), a sentence for people. `expected_start`: when a scheduler expects to begin. `ends_at`: when a time
    limit will end it.
    """

    phase: Phase
    upstream: str | None = None
    exit: Exit | None = None
    message: str | None = None
    expected_start: datetime | None = None
    ends_at: datetime | None = None
    kernels: str | None = None


@dataclass(frozen=True, slots=True)
class Front:
    """How the front door asks a server that is not at our own path. `headers` are secret and never stored.

    `prefix`: the server's own base path (`/user/ann/lab-1/`), which replaces the session's `/s/{id}/`. Of the headers
    the front door sends Authorization.
    """

    prefix: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Engine(Protocol):
    """Runs workloads on one kind of compute. Keeps nothing about a workload between calls.

    The session reconciler calls the verbs; each may be called again at any time, also after a crash between
    the call and the storing of its result. Each returns within seconds; waiting is the reconciler's job.
    `isolation`: L0 to L4 (threat model, section 2), as measured. `storage`: `shared` when workloads use the workspace's
    own folder, `own` when files are copied to and from where the engine keeps them. `runs_images`: takes `spec.image`.
    """

    name: str
    isolation: str
    storage: Storage
    runs_images: bool

    async def start(self, spec: WorkloadSpec) -> Handle:
        """Begin to run `spec`, or find the object that an earlier call for the same launch made.

        Returns as soon as the handle is known, not when the workload is ready.
        Raises Unavailable (`engine-unavailable`) when the engine does not answer.
        """
        ...

    async def observe(self, handle: Handle) -> Observation:
        """Say what is seen now. Never raises for an engine that does not answer: that is Phase.UNKNOWN."""
        ...

    async def stop(self, handle: Handle, *, grace: timedelta) -> None:
        """Ask the workload to end and, after `grace`, end it. Returns at once; success if it is gone already.

        Everything that the workload started ends with it. Raises Unavailable (`engine-unavailable`).
        """
        ...


@runtime_checkable
class Watches(Protocol):
    """Capability: tells when something changed, so that nobody needs to poll."""

    def watch(self, handle: Handle) -> AsyncIterator[None]:
        """Yield whenever observing again is worth it (ready, ended); finish when nothing more will come."""
        ...


@runtime_checkable
class Logs(Protocol):
    """Capability: the workload's own output."""

    async def tail(self, handle: Handle, *, lines: int) -> list[str]:
        """Return the last lines, oldest first; an empty list when there is no log yet."""
        ...

    def follow(self, handle: Handle, *, lines: int) -> AsyncIterator[str]:
        """Yield the last lines and then each new one, until the workload has ended.

        Goes at its reader's pace and holds little; what was dropped meanwhile is said in a line of its own.
        """
        ...


@runtime_checkable
class Fronts(Protocol):
    """Capability: its servers answer under paths of their own, or want credentials of their own."""

    async def front(self, handle: Handle) -> Front:
        """Return how to ask the server of a READY workload. Asked often: answer from memory where that is right.

        Raises Unavailable (`engine-unavailable`).
        """
        ...


@runtime_checkable
class Measures(Protocol):
    """Capability: says what its machine has and what a workload uses. Neither call takes over a few ms."""

    async def measure(self, handle: Handle) -> Usage | None:
        """Return what the workload uses now; None when it does not run."""
        ...

    async def describe(self) -> Machine:
        """Return what the machine has and how limits are enforced, as tried out, not as assumed."""
        ...


@runtime_checkable
class Attaches(Protocol):
    """Capability: attaches `spec.volumes` at `/volumes/<name>`. `attaches`: which member of a Volume it needs."""

    attaches: Literal["path", "claim"]


@runtime_checkable
class HostsKernels(Protocol):
    """Capability: runs launches with `spec.only_kernels`, whose `upstream` is our kernel host (decision 013)."""

    hosts_kernels: bool


@runtime_checkable
class Remarks(Protocol):
    """Capability: what people must know before they rely on it, in a sentence; empty where there is nothing."""

    remark: str


@runtime_checkable
class Sweeps(Protocol):
    """Capability: ends what was started and is not wanted any more."""

    async def sweep(self, ask_wanted: AskWanted) -> list[str]:
        """End all objects of this platform that are not wanted; return their names.

        Asks after it has listed the objects: what was started meanwhile is not in its list, so that no launch
        is ended because the wish for it was newer than the answer.
        """
        ...


@runtime_checkable
class Closes(Protocol):
    """Capability: holds connections that should be let go when the control plane ends."""

    async def aclose(self) -> None:
        """Let go of all connections; workloads go on."""
        ...


@runtime_checkable
class Forgets(Protocol):
    """Capability: drops what it keeps of workloads that ended (logs, exit records)."""

    async def forget(self, workload_id: str) -> None:
        """Drop all that is kept of a workload none of whose launches runs. Repeatable."""
        ...


@dataclass(frozen=True, slots=True)
class StoredPlace:
    """Whose files are meant: `folder` is the workspace's on the platform's machine, which names it for good.

    `name`: what people call the workspace, for whoever looks at the engine. `person`: name of its owner here.
    """

    folder: Path
    name: str
    person: str


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A file, folder or link of a workspace; `path` below its folder, parts parted by `/`, not always text.

    `size` in bytes and `modified_ns` (since 1970) are a file's, `target` is a link's.
    """

    path: str
    kind: Literal["folder", "file", "link"]
    size: int = 0
    modified_ns: int = 0
    mode: int = 0
    target: str = ""


class Store(Protocol):
    """The files of one workspace while they are open. No session of it runs.

    All raise Unavailable (`engine-unavailable` while nobody answers; `move-no-room`, `move-failed`), Conflict
    (`move-file-changed`) and Denied (`move-file-refused`).
    """

    def list_entries(self) -> AsyncIterator[StoredEntry]:
        """Yield all that is there, each folder before what is in it; sockets and devices are left out."""
        ...

    async def read(self, path: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes of a file, fewer at its end."""
        ...

    async def write(self, path: str, offset: int, block: bytes) -> None:
        """Write into a file; offset 0 makes it anew. Not whole until it is finished."""
        ...

    async def finish(self, entry: StoredEntry) -> None:
        """Give what was made the entry's mode and time, and the one owner that the engine has for the workspace."""
        ...

    async def make(self, entry: StoredEntry) -> None:
        """Make a folder or link; one that is there is success."""
        ...

    async def digest(self, entry: StoredEntry) -> str:
        """Return the SHA-256 of a file as it is read back there, as hexadecimal digits."""
        ...

    async def room(self) -> int:
        """Return how many bytes may still be written."""
        ...

    async def settle(self) -> None:
        """Return once what was written would outlive a power cut."""
        ...

    async def rename(self, path: str, target: str) -> None:
        """Give a file, a link or a folder another name, in one step, if nothing has that name."""
        ...

    async def remove(self, path: str) -> None:
        """Remove a file, a link, or a folder with all that is in it; one that is gone is success."""
        ...

    async def clear(self) -> None:
        """Remove all that is there."""
        ...


@runtime_checkable
class Stores(Protocol):
    """Capability of an engine whose storage is `own`: lets a workspace's files in and out (see Store)."""

    def open_store(self, place: StoredPlace) -> AbstractAsyncContextManager[Store]:
        """Open the files of a workspace none of whose sessions runs; a place without any is made, empty.

        What an earlier open of it left behind is taken away. May take as long as a start.
        Raises Unavailable (`engine-unavailable`), NotFound (`engine-person-unknown`).
        """
        ...

    async def forget_store(self, place: StoredPlace) -> None:
        """Remove all that the engine keeps of a workspace. Repeatable; raises as `open_store`."""
        ...
