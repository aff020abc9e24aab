"""What a session's launch is told, and the files that tell about any launch."""

import contextlib
import json
import os
import socket
import stat
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

# A request holds at most 256 variables of 4,096 characters and a few paths.
MAX_REQUEST_BYTES = 2 * 1024 * 1024
# Exec'd descendants of a launch carry this variable; by it they are found when their shim is gone.
MARKER = "STUDIOLO_LAUNCH"
OWN = "own"
_MOST_BYTES = 64 * 1024 * 1024
_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104
_LAST_PORT = 65535


class RefusedRequestError(ValueError):
    """A launch request cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """One launch of a notebook server, as one JSON line. All folders are absolute.

    `launch_folder` gets the files of LaunchFiles, `run_folder` (short, private) kernel sockets and the key,
    `socket` the server. `variables` is the whole environment of the server, its kernels and its terminals;
    `tool_files` (contents by path) and `netrc` (lines, secret) tell its tools what holds here, see `runtime.toolfiles`.
    Limits are in processors, bytes, and processes with their threads; None: no limit. `groups`: for each usable
    controller the folder in which the launch's control group is made.

    `listen`: `tcp://HOST:PORT` for a server that listens there and not on `socket`; port 0 is any free one.
    `advertise`: what others call the host that listens on all its addresses; else its own name. `log_to_stdout`: a
    workload (see `runtime.workload`) also prints its log.

    `host_folder`: where a kernel host beside the server (see `runtime.kernelhost`) keeps what later launches show too;
    empty: there is to be none. `host_port`: which port it binds where `listen` is one; 0: any free one. `host_address`:
    what it has bound, noted by the workload itself. `only_kernels`: there is no notebook server, and the kernel host
    has its place (decision 013); for workloads alone.

    `recipe`: members of a Recipe (see `runtime.recipes`) by which the workload makes `environment` itself, within
    `environment_seconds`, from `image_environment`; empty: it is there. `environment_note`: what people should know of
    how that went, noted by the workload itself.

    `account`: user and group of the server and all that it starts, see `runtime.account`; 0: that of its shim.
    `enclosure`: members of an Enclosure (see `runtime.enclosure`), which the shim makes for them; empty: none.
    `namespaces`: of the one that is made, noted by the shim itself.
    """

    workload_id: str
    launch: int
    launch_folder: str
    run_folder: str
    socket: str
    folder: str
    start_folder: str
    environment: str
    base_url: str
    grace_seconds: float
    secret: str = field(repr=False)
    api_key: str = field(repr=False)
    platform_url: str
    variables: Mapping[str, str] = field(repr=False)
    tool_files: Mapping[str, str] = field(default_factory=dict, repr=False)
    netrc: str = field(default="", repr=False)
    cpu_limit: float | None = None
    memory_limit: int | None = None
    process_limit: int | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    listen: str = ""
    advertise: str = ""
    log_to_stdout: bool = False
    host_folder: str = ""
    host_port: int = 0
    host_address: str = ""
    only_kernels: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)
    image_environment: str = ""
    environment_seconds: float = 0.0
    environment_note: str = ""
    account: int = 0
    enclosure: Mapping[str, Any] = field(default_factory=dict)
    namespaces: Sequence[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """`<workload id>.<launch>`: names the launch on this machine."""
        return f"{self.workload_id}.{self.launch}"

    @property
    def host(self) -> str:
        """Which address the server binds; empty with a unix socket."""
        return _split_listen(self.listen)[0]

    @property
    def port(self) -> int:
        """Which port the server binds there; 0: any free one."""
        return _split_listen(self.listen)[1]

    @property
    def host_socket(self) -> Path:
        """Where the kernel host listens, unless `listen` is a port: beside the server, or in its place."""
        return Path(self.socket) if self.only_kernels else beside(Path(self.socket))

    def address(self, port: int, *, socket_file: Path | None = None) -> str:
        """Return what reaches whoever has bound `port`: `unix//path` or `host:port`, as Caddy dials it.

        `socket_file`: what was bound where `listen` is no port; None: `socket`.
        """
        if not self.listen:
            return f"unix/{socket_file or self.socket}"
        host = (self.advertise or socket.gethostname()) if self.host in _ALL_ADDRESSES else self.host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def files(self) -> "LaunchFiles":
        """The launch's files."""
        return LaunchFiles(Path(self.launch_folder))

    @property
    def grounds_file(self) -> Path:
        """Where the kernel host reads how kernels of this session are started, see `runtime.registrations`."""
        return Path(self.run_folder) / "kernels.json"

    @property
    def kernels_folder(self) -> Path:
        """Where each kernel that the session's server did not start is registered while it lives."""
        return Path(self.run_folder) / "kernels"

    @property
    def kernelspec_folders(self) -> tuple[Path, Path]:
        """Where the session's kernelspecs are; the first that has a name wins."""
        return self.files.own / "kernels", Path(self.environment) / "share/jupyter/kernels"

    @property
    def own_folder(self) -> Path:
        """Where the session has what only it and its programs may read: the run folder, or its account's."""
        return self.files.own if self.account else Path(self.run_folder)

    @property
    def key_file(self) -> Path:
        """Where the session's own API key is, for the people and programs in it."""
        return self.own_folder / "key"

    @property
    def netrc_file(self) -> Path:
        """Where tools find how to sign in, named by their variable NETRC."""
        return self.own_folder / "netrc"

    def to_line(self) -> bytes:
        """Return the request as one JSON line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "LaunchRequest":
        """Read a request; raises RefusedRequestError when it is cut, no JSON, or has wrong members."""
        request = cls(**read_members(line, {f.name for f in fields(cls)}))
        refuse_relative(request.launch_folder, request.run_folder, request.socket, request.folder, request.environment)
        _split_listen(request.listen)
        return request


def beside(server_socket: Path) -> Path:
    """Return where a kernel host listens beside a server that listens on `server_socket`."""
    return server_socket.with_suffix(".kernels")


def read_members(line: bytes, wanted: set[str]) -> dict[str, Any]:
    """Read a request's members; raises RefusedRequestError when it is cut, no JSON, or has not exactly the `wanted`."""
    try:
        members = json.loads(line)
    except ValueError as exc:
        raise RefusedRequestError(f"The launch request is not a JSON line: {exc}.") from exc
    if not isinstance(members, dict) or set(members) != wanted:
        raise RefusedRequestError("The launch request has other members than this version knows.")
    return members


def refuse_relative(*paths: str) -> None:
    """Raise RefusedRequestError if one of the paths is relative."""
    for path in paths:
        if not Path(path).is_absolute():
            raise RefusedRequestError(f"The launch request holds a relative path: {path!r}.")


def _split_listen(listen: str) -> tuple[str, int]:
    """Return host, without brackets, and port; raises RefusedRequestError."""
    if not listen:
        return "", 0
    scheme, _, place = listen.partition("://")
    host, _, port = place.rpartition(":")
    if scheme != "tcp" or not host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise RefusedRequestError(f"The launch request's `listen` is not tcp://HOST:PORT: {listen!r}.")
    return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True)
class LaunchFiles:
    """The files of one launch. None but the request holds a secret; all but the log are replaced whole."""

    folder: Path

    @property
    def own(self) -> Path:
        """Where the launch's own account writes, and nobody goes by names: there if it is not its shim's."""
        own = self.folder / OWN
        return own if own.is_dir() else self.folder

    @property
    def request(self) -> Path:
        """What a workload is told, see `runtime.workload`; removed as it is read."""
        return self.folder / "request.json"

    @property
    def lock(self) -> Path:
        """Locked by the shim for its whole life."""
        return self.folder / "lock"

    @property
    def shim(self) -> Path:
        """{pid, start_time, boot_id, groups, session_pid, session_start_time}; `groups` as in LaunchRequest."""
        return self.folder / "shim.json"

    @property
    def ready(self) -> Path:
        """{address, kernels}: exists once the server listens, see LaunchRequest.address. A kernel's is empty.

        `kernels`: address of the kernel host beside it, empty where there is none.
        """
        return self.own / "ready"

    @property
    def stop(self) -> Path:
        """{grace_seconds, at}: what the last call to stop asked for; `at` is Unix time in seconds."""
        return self.folder / "stop.json"

    @property
    def parts(self) -> Path:
        """{parts: [[pid, start_time, what, name]]}: the server's kernels and terminals, see `runtime.parts`."""
        return self.own / "parts.json"

    @property
    def deaths(self) -> Path:
        """{deaths: [{at, what, pid, name, peak, limit}]}: what was killed for lack of memory, oldest first."""
        return self.folder / "deaths.json"

    @property
    def restarts(self) -> Path:
        """{restarts: [{at, reason, message}]}: how the server ended when it was started anew, oldest first."""
        return self.folder / "restarts.json"

    @property
    def exit(self) -> Path:
        """{reason, message, code, signal, at, max_rss_bytes, memory_peak, memory_limit}: written at the very end."""
        return self.folder / "exit.json"

    @property
    def log(self) -> Path:
        """Output of the server, its kernels and extensions."""
        return self.folder / "server.log"


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, or None when there is none (yet)."""
    try:
        value = json.loads(read_plain(path))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_plain(path: str | Path, *, folder: int | None = None, most: int = _MOST_BYTES) -> bytes:
    """Return what is in a file that a session's code may have made; `folder`: an open one that `path` is in.

    No link is followed, no pipe waited for, nothing endless read. Raises OSError.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, dir_fd=folder), "rb") as file:
        seen = os.fstat(file.fileno())
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > most:
            raise OSError(f"{path} is no file, or a very long one")
        return file.read(most)


def write_json(path: Path, value: object, *, durable: bool = False, mode: int = 0o666) -> None:
    """Replace `path` by JSON, whole or not at all, as a file of this mode; `durable` waits for the disk.

    Raises OSError.
    """
    # Of one thread's own, so that two that write the same file each replace it whole.
    temporary = f"{path.parent}/.{path.name}.{threading.get_native_id()}"
    try:
        with open(temporary, "wb", opener=partial(os.open, mode=mode)) as file:
            file.write(json.dumps(value).encode())
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 at each start, a Path costs more than this
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
