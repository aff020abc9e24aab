"""What a container is to be, as the Docker API takes it: plain data from plain data.

Names, variables and paths of people go into values of JSON and into lists of arguments; none becomes an option, a
path of another place, or a part of a text that is read again.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from studiolo.contract.errors import InvalidInput
from studiolo.engines.base import WorkloadSpec
from studiolo.engines.container.launches import Launch
from studiolo.engines.container.settings import ContainerSettings
from studiolo.engines.ground import WayOut

WORKSPACE, DATASETS, VOLUMES = (PurePosixPath(f"/{name}") for name in ("workspace", "datasets", "volumes"))
# Labels; WAITING names the place of a container that was made ahead.
INSTANCE, GPUS, WAITING = "studiolo.instance", "studiolo.gpus", "studiolo.waiting"
PROGRAM = "studiolo.engines.container.inside"
_SECURITY = ["no-new-privileges"]
_LOG_BYTES = "10m"
_RUN_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of this machine and where the container has it."""

    source: Path
    target: PurePosixPath
    writable: bool = False

    @classmethod
    def same(cls, path: Path, *, writable: bool = False) -> "Mount":
        """Return a mount at the path's own place, so that paths in settings and notebooks hold."""
        return cls(path, PurePosixPath(path), writable)

    @classmethod
    def from_api(cls, mount: Mapping[str, Any]) -> "Mount":
        """Return what `to_api` was asked of."""
        return cls(Path(mount["Source"]), PurePosixPath(mount["Target"]), not mount["ReadOnly"])

    def to_api(self) -> dict[str, Any]:
        """Return it as the API takes it."""
        return {
            "Type": "bind",
            "Source": str(self.source),
            "Target": str(self.target),
            "ReadOnly": not self.writable,
            "BindOptions": {"Propagation": "rprivate"},
        }


@dataclass(frozen=True, slots=True)
class Host:
    """What the daemon is and who asks it. `owner`: uid and gid of the workspace's files on this machine."""

    instance: str
    owner: tuple[int, int]
    is_podman: bool = False
    is_rootless: bool = False

    @property
    def user(self) -> str:
        """As whom the container runs. Docker without root knows our own account as root."""
        return "0:0" if self.is_rootless and not self.is_podman else "{}:{}".format(*self.owner)


def container_name(instance: str, launch: Launch) -> str:
    """Return the name that makes starts repeatable."""
    return f"studiolo-{instance}-{launch.workload_id}-{launch.number}"


def read_name(instance: str, container: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return workload id and launch of a container as it is listed; None if it is none of a launch's.

    Whoever may make containers may name them: what a path is made of has nothing else in it.
    """
    name = str(next(iter(container.get("Names") or []), "")).removeprefix("/")
    found = re.fullmatch(rf"studiolo-{re.escape(instance)}-([a-z0-9-]+)-([0-9]+)", name)
    return (found[1], int(found[2])) if found else None


def container_config(
    spec: WorkloadSpec,
    launch: Launch,
    settings: ContainerSettings,
    host: Host,
    *,
    image: str,
    mounts: Sequence[Mount],
    program: Sequence[str],
    shm_size: int,
    way_out: WayOut | None = None,
    gpus: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the body of `POST /containers/create`. `program`: argv of the interpreter that has our runtime."""
    arguments = [str(launch.files.folder)]
    if way_out is not None:
        arguments += [str(way_out.port), str(way_out.socket)]
    return {
        "Image": image,
        "Entrypoint": [*program, "-P", "-m", PROGRAM],
        "Cmd": arguments,
        "User": host.user,
        "Env": ["PYTHONDONTWRITEBYTECODE=1", f"HOME={launch.home}", "LANG=C.UTF-8"],
        "WorkingDir": "/",
        "StopSignal": "SIGTERM",
        "Labels": {INSTANCE: host.instance, GPUS: ",".join(gpus)},
        "HostConfig": {
            "Mounts": [mount.to_api() for mount in mounts],
            "Tmpfs": {
                "/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={_scratch(spec, settings):d}",  # noqa: S108
                "/run": f"rw,noexec,nosuid,nodev,mode=1777,size={_RUN_BYTES}",
            },
            "ShmSize": shm_size,
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": _SECURITY,
            "RestartPolicy": {"Name": "no"},
            # Podman takes it for its own form. Others know no limit, or none by this name.
            "LogConfig": {"Type": "json-file", "Config": {"max-size": _LOG_BYTES}},
            **_limits(spec),
            **_network(settings.network, way_out),
            **_user_namespace(host),
            **_devices(gpus, host),
        },
    }


def workspace_mounts(spec: WorkloadSpec, launch: Launch, places: Iterable[Path]) -> list[Mount]:
    """Return what belongs to the workspace and its person. `places`: more folders that their tools write to.

    Raises InvalidInput (`name-invalid`).
    """
    own = [spec.folder, spec.environment, launch.files.folder, launch.run_folder, launch.home]
    return [
        *(Mount.same(folder, writable=True) for folder in [*own, *places]),
        Mount(spec.folder, WORKSPACE, writable=True),
        *(Mount(folder, DATASETS / _one_name("dataset", name)) for name, folder in spec.datasets.items()),
    ]


def volume_mounts(spec: WorkloadSpec) -> list[Mount]:
    """Return the volumes of the workspace; their files are not its own. Raises InvalidInput (`name-invalid`)."""
    return [
        Mount(volume.path, VOLUMES / _one_name("volume", volume.name), writable=not volume.read_only)
        for volume in spec.volumes
        if volume.path is not None
    ]


def _one_name(what: str, name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise InvalidInput(
            "name-invalid", f"A {what} cannot be shown under the name {name!r}.", hint=f"Rename the {what}."
        )
    return name


def _scratch(spec: WorkloadSpec, settings: ContainerSettings) -> int:
    # All else that a session can write to are its workspace's folders, which no daemon holds to a size.
    return min(settings.tmp_size, spec.limits.disk or settings.tmp_size)


def _limits(spec: WorkloadSpec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if spec.limits.cpu is not None:
        found["NanoCpus"] = round(spec.limits.cpu * 1e9)
    if spec.limits.memory is not None:
        # With swap the limit would be a machine that is slow for everybody.
        found |= {"Memory": spec.limits.memory, "MemorySwap": spec.limits.memory}
    if spec.limits.processes is not None:
        found["PidsLimit"] = spec.limits.processes
    return found


def _network(name: str, way_out: WayOut | None) -> dict[str, Any]:
    if way_out is None:
        return {"NetworkMode": name}
    return {
        "NetworkMode": name,
        "ExtraHosts": [f"{host}:127.0.0.1" for host in way_out.names],
        # The way out may stand for port 80 or 443.
        "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
    }


def _user_namespace(host: Host) -> dict[str, Any]:
    return {"UsernsMode": "keep-id"} if host.is_rootless and host.is_podman else {}


def _devices(gpus: Sequence[str], host: Host) -> dict[str, Any]:
    if not gpus:
        return {}
    if host.is_podman:
        return {"Devices": [{"PathOnHost": name, "PathInContainer": name} for name in gpus]}
    return {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": list(gpus)}]}
