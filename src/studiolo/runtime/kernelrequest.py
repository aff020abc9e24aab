"""What a kernel's launch is told, and the files that tell about it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from studiolo.runtime.launch import LaunchFiles, read_members, refuse_relative

# `python -m ipykernel_launcher -f FILE`: what has more words wants its kernel built otherwise.
_PLAIN_WORDS = 5
_MACHINE_CONFIG = (Path("/etc/ipython"), Path("/usr/local/etc/ipython"))
# Exec'd descendants of a kernel carry this variable; by it they are found when its shim is gone.
MARKER = "STUDIOLO_KERNEL"


@dataclass(frozen=True, slots=True)
class KernelRequest:
    """One launch of a kernel, as one JSON line. All folders are absolute.

    `kernel_folder` gets the files of KernelFiles; `run_folder` (short, private) has the connection file and the
    sockets. `argv` is complete. `environment`: the venv that a forked kernel takes for its own; empty: exec'd.
    `variables` is its whole environment. Limits and `groups` as in LaunchRequest, `group` the name of the control
    group, which is the kernel's own or, without `owns_group`, one that is there. `register`: a file to be written
    while the kernel lives, `path` the notebook's path, for people; empty: none. `account` and `enclosure` as in
    LaunchRequest, `namespaces` too, or those of the session that the kernel lives in.
    """

    kernel_id: str
    kernel_folder: str
    run_folder: str
    argv: list[str]
    environment: str
    folder: str
    grace_seconds: float
    variables: Mapping[str, str] = field(repr=False)
    groups: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    owns_group: bool = False
    cpu_limit: float | None = None
    memory_limit: int | None = None
    process_limit: int | None = None
    register: str = ""
    path: str = ""
    account: int = 0
    enclosure: Mapping[str, Any] = field(default_factory=dict)
    namespaces: Sequence[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the control group."""
        return self.group

    @property
    def files(self) -> "KernelFiles":
        """The launch's files."""
        return KernelFiles(Path(self.kernel_folder))

    @property
    def run_files(self) -> "RunFiles":
        """What is in the run folder."""
        return RunFiles(Path(self.run_folder))

    def to_line(self) -> bytes:
        """Return the request as one JSON line."""
        # Not `asdict`, which copies each variable.
        return json.dumps({one.name: getattr(self, one.name) for one in fields(self)}).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "KernelRequest":
        """Read a request; raises RefusedRequestError when it is cut, no JSON, or has wrong members."""
        request = cls(**read_members(line, {f.name for f in fields(cls)}))
        refuse_relative(request.kernel_folder, request.run_folder, request.folder)
        return request


class KernelFiles(LaunchFiles):
    """The files of one kernel's launch; `shim.json` names its process `kernel_pid` and `kernel_start_time`."""

    @property
    def ready(self) -> Path:
        """Empty: exists once the sockets are bound. Root's, if the kernel has an account."""
        return self.folder / "ready"

    @property
    def log(self) -> Path:
        """What the kernel's own process wrote, not its cells."""
        return self.folder / "kernel.log"

    @property
    def spool(self) -> Path:
        """Folder of the output that found no room in the kernel's memory, see `runtime.spool`."""
        return self.own / "spool"


@dataclass(frozen=True, slots=True)
class RunFiles:
    """A kernel's private run folder."""

    folder: Path

    @property
    def connection(self) -> Path:
        """The connection file, as Jupyter defines it."""
        return self.folder / "connection.json"

    @property
    def sockets(self) -> Path:
        """What the sockets' names begin with, for the transport `ipc`."""
        return self.folder / "c"

    @property
    def spool(self) -> Path:
        """The socket by which a forked kernel gives what was not acknowledged."""
        return self.folder / "spool"


def is_plain(request: KernelRequest) -> bool:
    """Tell whether an ipykernel that was built without asking the person's configuration does for this request."""
    home = Path(request.variables.get("HOME", "/"))
    folders = [Path(request.environment) / "etc/ipython", *_MACHINE_CONFIG]
    folders.append(Path(request.variables.get("IPYTHONDIR") or home / ".ipython") / "profile_default")
    configured = any(file.suffix in (".py", ".json") for folder in folders for file in folder.glob("ipython*config.*"))
    return len(request.argv) == _PLAIN_WORDS and not configured
