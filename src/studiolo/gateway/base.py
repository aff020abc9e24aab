"""What the parts of the kernel host agree on: messages, kernels to start, running kernels, callers, authorities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

# The raw JSON bytes of header, parent_header, metadata and content, then any number of binary buffers.
Parts = Sequence[bytes]
CHANNELS = ("shell", "control", "iopub", "stdin")


@dataclass(frozen=True, slots=True)
class KernelPlan:
    """One kernel to start. Folders are absolute.

    `spec_name`: name of its kernelspec; `argv`: its command, with `{connection_file}` still in it (and `{prefix}`,
    but not `{resource_dir}`, which only who read the kernelspec knows).
    `environment`: root of the venv that `argv` runs in, if it is an ipykernel that may be forked there, else None.
    `variables`: the whole environment of the process. `groups`: as in `runtime.launch.LaunchRequest`;
    `group`: the control group's name: that of its session, or, with limits, one of its own. `marker`: what
    STUDIOLO_LAUNCH shall say. Limits are in processors, bytes, processes; None: none of its own.
    """

    kernel_id: str
    scope: str
    spec_name: str
    argv: tuple[str, ...]
    environment: Path | None
    folder: Path
    variables: Mapping[str, str] = field(repr=False)
    interrupt_mode: str = "signal"
    language: str = "python"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    marker: str = ""
    cpu_limit: float | None = None
    memory_limit: int | None = None
    process_limit: int | None = None
    # A file that the shim writes while the kernel lives, so that its session can end it, see `runtime.registrations`.
    register: Path | None = None
    # The folder that paths of notebooks begin in; None: the host writes into none of them.
    root: Path | None = None
    # The notebook's path, by which people know the kernel; it comes back in what tells of lack of memory.
    path: str | None = None
    # An enclosure of its own, or the one of its session: see `runtime.kernelrequest`.
    enclosure: Mapping[str, Any] = field(default_factory=dict)
    namespaces: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class KernelExit:
    """How a kernel ended. `reason`: stopped, exited, killed, out-of-memory, never-ready, vanished."""

    reason: str
    message: str
    at: datetime
    code: int | None = None
    signal: int | None = None


class Process(Protocol):
    """A kernel's process as its launcher sees it; survives this process, see Launcher.adopt."""

    kernel_id: str
    # As in a connection file; sockets exist when the launcher returns it.
    connection: Mapping[str, Any]
    # Path of the socket by which the kernel gives what was not acknowledged; None: it keeps nothing.
    spool: Path | None
    pid: int

    async def interrupt(self) -> None:
        """Send SIGINT to the kernel's process group. Success if it is gone."""
        ...

    async def stop(self, *, grace_seconds: float) -> None:
        """Have it ended: SIGTERM, after `grace_seconds` SIGKILL, with all that it started. Returns at once."""
        ...

    async def wait(self) -> KernelExit:
        """Return when it has ended; may be called by several, and again."""
        ...

    def tail(self, lines: int) -> list[str]:
        """Return the last lines of its own output (not of its cells), oldest first."""
        ...


class Launcher(Protocol):
    """Starts kernels that outlive this process."""

    async def start(self, plan: KernelPlan) -> Process:
        """Start a kernel and return once its sockets are bound (forked) or it runs (exec'd).

        Raises Unavailable (`kernel-not-started`) with the end of its output, Conflict (`kernel-exists`) while a
        kernel of this id runs. One that has ended is started anew under its id, with another connection.
        """
        ...

    async def adopt(self, kernel_id: str) -> Process | KernelExit | None:
        """Find a kernel that an earlier process started: alive, ended, or None when nothing is known of it."""
        ...

    async def aclose(self) -> None:
        """Let go of what is held for starting kernels; those that run go on."""
        ...


class KernelState(StrEnum):
    """What Jupyter calls execution_state, as far as clients see it."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    RESTARTING = "restarting"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Right(StrEnum):
    """What a caller may do with a scope's kernels."""

    SEE = "see"
    EXECUTE = "execute"
    START = "start"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, what for, and what they may.

    `scope`: the session or workspace that the request is about. `login`: id by which open sockets are closed when
    the login or key ends. `prefix`: what stands before `api/` in the path, with its slash. `origin`: the only Origin
    that may change something or open a websocket, for callers known by a cookie; None: known by a key.
    """

    scope: str
    rights: frozenset[Right]
    person_id: str
    person_name: str
    login: str
    prefix: str = "/"
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asked to be started: the body of `POST /api/kernels` or `/api/sessions`, read strictly.

    `path`: folder, or notebook, relative to the scope's folder. `variables`: `KERNEL_*` and others of the body's `env`.
    """

    spec_name: str | None
    path: str | None
    variables: Mapping[str, str] = field(default_factory=dict)
    kernel_id: str | None = None
    # It is of use on this host alone.
    only_here: bool = False


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A kernel that another host started instead. `model`: as Jupyter's API shows it."""

    model: Mapping[str, Any]


class Authority(Protocol):
    """Decides who may do what. Raises the errors of `contract.errors`."""

    async def identify(self, headers: Mapping[str, str], method: str, path: str, query: Mapping[str, str]) -> Caller:
        """Say who asks. Raises NotSignedIn, Denied, NotFound."""
        ...

    async def reserve(self, caller: Caller, wish: Wish) -> KernelPlan | Elsewhere:
        """Say what to start, or have it started elsewhere unless the wish is `only_here`.

        Raises LimitReached, NotFound (kernelspec), InvalidInput (resources, path).
        """
        ...

    async def started(self, kernel_id: str, *, ok: bool, message: str = "") -> None:
        """Be told that a reserved kernel runs, or does not."""
        ...

    async def ended(self, kernel_id: str, exit: KernelExit) -> None:
        """Be told that a kernel has ended. Must not raise; the truth is asked for again later."""
        ...

    async def report(self, kernels: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        """Be told of all kernels that run, and return the ids of those that nobody wants any more."""
        ...

    async def list_elsewhere(self, caller: Caller) -> Sequence[Mapping[str, Any]]:
        """Return the caller's kernels that run elsewhere and belong to the scope, as Jupyter's API shows them."""
        ...

    async def specs(self, caller: Caller) -> Mapping[str, Any]:
        """Return the answer of `GET /api/kernelspecs` for the caller's scope."""
        ...

    async def find_resource(self, caller: Caller, spec_name: str, file_name: str) -> Path | None:
        """Return a file that belongs to a kernelspec (its logo), or None."""
        ...
