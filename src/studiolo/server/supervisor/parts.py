"""The parts of the platform: what runs, in which environment, after what."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from studiolo.engines.variables import passed_on
from studiolo.kit.files import write_atomically
from studiolo.packages.index.channels import DEFAULT, write_channels
from studiolo.server.settings import Settings
from studiolo.server.settings.environment import plain_environment, settings_environment
from studiolo.server.supervisor.caddyfile import caddy_binary, front_door_folder, write_caddyfile


@dataclass(frozen=True, slots=True)
class Part:
    """One process to keep running. It says READY=1 to NOTIFY_SOCKET when it serves.

    `env`: its whole environment; `after`: names of the parts that must be ready before it starts.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    after: tuple[str, ...] = ()
    start_seconds: float = 60
    stop_seconds: float = 10

    @property
    def title(self) -> str:
        """The name as people read it."""
        return self.name.replace("-", " ")


def platform_parts(settings: Settings) -> list[Part]:
    """Return the parts in the order of their start. Raises StudioloError if one cannot be configured."""
    return [
        fork_server(settings),
        kernel_host(settings),
        file_host(settings),
        package_index(settings),
        control_plane(settings),
        front_door(settings),
    ]


def fork_server(settings: Settings) -> Part:
    """The process that sessions are forked from. Sessions inherit its environment: no more than they may see."""
    # Where sessions are spawned, nothing would ever claim a spare.
    forks = settings.sessions.start_method != "spawn" and sys.platform == "linux"
    spares = str(settings.sessions.spares if forks else 0)
    socket = str(settings.fork_server_socket)
    argv = (sys.executable, "-m", "studiolo.runtime.forkserver", "--socket", socket, "--spares", spares)
    path = {"PATH": os.environ["PATH"]} if "PATH" in os.environ else {}
    return Part("fork-server", argv, path | passed_on(os.environ))


def kernel_host(settings: Settings) -> Part:
    """The process that carries kernels' messages. Kernels are not its children; of our environment it sees little."""
    kernels = settings.kernels
    argv = [
        *(sys.executable, "-m", "studiolo.gateway.host"),
        *("--socket", str(settings.kernels_socket)),
        *("--control", str(settings.control_socket)),
        *("--data", str(settings.data_dir), "--run", str(settings.runtime_dir)),
        *("--secret-file", str(settings.kernels_key_file)),
        *("--keep-ended", f"{kernels.keep_ended.total_seconds():g}"),
        *("--keep-unread", f"{kernels.keep_unread.total_seconds():g}"),
        # Whose a kernel is decides before it has threads.
        *("--spares", str(kernels.spares if settings.local.accounts == "off" else 0)),
    ]
    if kernels.idle_stop:
        argv += ["--cull-idle", f"{kernels.idle_stop.total_seconds():g}"]
    for origin in kernels.allow_origins:
        argv += ["--allow-origin", origin]
    path = {"PATH": os.environ["PATH"]} if "PATH" in os.environ else {}
    return Part("kernel-host", tuple(argv), path | passed_on(os.environ))


def file_host(settings: Settings) -> Part:
    """The process that carries files' bytes. It knows no people and no database; of our environment it sees little."""
    argv = (
        *(sys.executable, "-m", "studiolo.files.host"),
        *("--socket", str(settings.files_socket)),
        *("--control", str(settings.control_socket)),
        *("--cache", str(settings.data_dir / "cache"), "--secret-file", str(settings.files_key_file)),
    )
    path = {"PATH": os.environ["PATH"]} if "PATH" in os.environ else {}
    return Part("file-host", argv, path | passed_on(os.environ))


def package_index(settings: Settings) -> Part:
    """The process that serves packages. It reads how this machine's own tools are configured."""
    named = dict(settings.packages.indexes)
    if settings.packages.index_url:
        named.setdefault(DEFAULT, settings.packages.index_url)
    write_atomically(settings.index_channels_file, write_channels(named, settings.packages.conda_channels))
    argv = (
        *(sys.executable, "-m", "studiolo.packages.index"),
        *("--socket", str(settings.index_socket), "--control", str(settings.control_socket)),
        *("--data", str(settings.packages_dir), "--secret-file", str(settings.index_key_file)),
        *("--channels-file", str(settings.index_channels_file)),
        *("--fresh", f"{settings.packages.fresh.total_seconds():g}"),
    )
    return Part("package-index", argv, plain_environment())


def control_plane(settings: Settings) -> Part:
    """The process that decides."""
    env = {**plain_environment(), **settings_environment(settings)}
    return Part("control-plane", (sys.executable, "-m", "studiolo.server.main"), env)


def front_door(settings: Settings) -> Part:
    """The process that carries, configured by the Caddyfile that this writes."""
    folder = front_door_folder(settings)
    argv = (str(caddy_binary()), "run", "--adapter", "caddyfile", "--config", str(write_caddyfile(settings)))
    # Rarer collections take a fifth off the work of a small request, for some 25 MiB under load (bench/front_door.py).
    env = {"GOGC": "400", **plain_environment(), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return Part("front-door", argv, env, after=("control-plane", "kernel-host", "file-host", "package-index"))


def log_of(settings: Settings, part: str) -> Path:
    """Return where a part's output goes."""
    return settings.data_dir / "logs" / f"{part}.log"
