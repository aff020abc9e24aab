"""Making a launch ready to be begun: its folders, whose they are, its request, and what its container is to be."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.engines import ground
from studiolo.engines.base import WorkloadSpec
from studiolo.engines.container import owners
from studiolo.engines.container.configuration import Host, Mount, container_config, volume_mounts, workspace_mounts
from studiolo.engines.container.launches import Launch
from studiolo.engines.container.settings import ContainerOptions, ContainerSettings
from studiolo.engines.container.waiting import Kind, Place
from studiolo.engines.ground import WayOut
from studiolo.engines.launch_files import Places, make_request, write_request
from studiolo.engines.plugins import EngineGround
from studiolo.engines.tools import offer_tools, tools_folder
from studiolo.runtime.launch import LaunchRequest

# Where a person's own tools have their files in a workspace; the platform sets these last of all variables.
_PERSONAL = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
    "PIP_CACHE_DIR",
    "UV_CACHE_DIR",
    "POETRY_CACHE_DIR",
)
_PEOPLE = "people"
# In images these folders, or what is in them, are closed to accounts that are not theirs.
_CLOSED = tuple(map(PurePosixPath, ("/root", "/home")))


class Preparing:
    """Prepares launches by the administrator's settings."""

    def __init__(self, on: EngineGround, settings: ContainerSettings) -> None:
        self._on = on
        self._settings = settings
        self.owner = owners.choose_owner(settings.user)

    async def prepare(
        self,
        spec: WorkloadSpec,
        launch: Launch,
        host: Host,
        options: ContainerOptions,
        *,
        image: str,
        gpus: Sequence[str],
    ) -> dict[str, Any]:
        """Make the launch's folders and return what its container is to be; its plan is the caller's to write.

        Raises Unavailable (`engine-unavailable`), InvalidInput (`name-invalid`).
        """
        try:
            return await asyncio.to_thread(self._prepare, spec, launch, host, options, image, gpus)
        except OSError as exc:
            raise no_folders("started", exc) from exc

    def _prepare(
        self,
        spec: WorkloadSpec,
        launch: Launch,
        host: Host,
        options: ContainerOptions,
        image: str,
        gpus: Sequence[str],
    ) -> dict[str, Any]:
        launch.make_folders()
        request = self._request(spec, launch)
        places = self._places(request, launch)
        for place in places:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_request(launch.files, request)
        mounts = workspace_mounts(spec, launch, places)
        for folder in {mount.source for mount in mounts if mount.writable}:
            owners.give(folder, host.owner)
        way_out = ground.find_way_out(spec.platform_url, self._on.door)
        tools = self._tools(ground.find_interpreters(spec.environment), way_out)
        mounts += [*tools, *volume_mounts(spec), *self._extra()]
        return container_config(
            spec,
            launch,
            self._settings,
            host,
            image=image,
            mounts=[*cover(launch.cover, mounts), *mounts],
            program=self._program(),
            shm_size=options.shm_size or self._settings.shm_size,
            way_out=way_out,
            gpus=gpus,
        )

    def _request(self, spec: WorkloadSpec, launch: Launch) -> LaunchRequest:
        return make_request(
            spec,
            Places(
                files=launch.files,
                run_folder=launch.run_folder,
                socket=launch.socket,
                private_folder=launch.jupyter,
                tools=tools_folder(self._on.data_dir),
            ),
            grace=timedelta(seconds=self._on.stop_grace),
            machine={"HOME": str(launch.home), "USER": "session", "LOGNAME": "session", "LANG": "C.UTF-8"},
        )

    def _places(self, request: LaunchRequest, launch: Launch) -> list[Path]:
        """Return the folders of the person's tools. Those that lie elsewhere are no business of a container's."""
        named = [Path(request.variables[name]) for name in _PERSONAL if name in request.variables]
        written = [Path(file).parent for file in request.tool_files]
        allowed = (self._on.data_dir / _PEOPLE, launch.jupyter)
        return ground.without_nested(
            folder
            for folder in (*named, *written, Path(request.host_folder))
            if ".." not in folder.parts and any(folder.is_relative_to(place) for place in allowed)
        )

    def _program(self) -> list[str]:
        if self._settings.runtime == "image":
            return [self._settings.python]
        return [str(ground.own_python())]

    def common(self, place: Place, kind: Kind) -> list[Mount]:
        """Return what a container has that waits at `place`, whosoever it will be. Raises OSError."""
        tools = self._tools([], ground.find_way_out(self._on.address, self._on.door))
        make_places(place.cover, tools)
        return [*covers(place.cover, kind.covered), *tools]

    def _tools(self, interpreters: Sequence[Path], way_out: WayOut | None) -> list[Mount]:
        """Return what containers read of this machine."""
        folders = [*interpreters]
        if self._settings.runtime == "mount":
            folders += [*ground.find_runtime_folders(), offer_tools(self._on.data_dir)]
        if way_out is not None:
            # The folder, since the socket is another file after each start of the front door.
            folders.append(way_out.socket.parent)
        folders += [file for file in self._on.certificates if file.exists()]
        return [*map(Mount.same, ground.without_nested(folders))]

    def _extra(self) -> list[Mount]:
        return [Mount(one.source, PurePosixPath(one.target), one.writable) for one in self._settings.mounts]


def cover(folder: Path, mounts: Sequence[Mount]) -> list[Mount]:
    """Return open folders to put those of `mounts` into that lie in what images keep closed. Raises OSError."""
    make_places(folder, mounts)
    return covers(folder, [str(one) for one in _CLOSED if any(mount.target.is_relative_to(one) for mount in mounts)])


def covers(folder: Path, closed: Iterable[str]) -> list[Mount]:
    """Return open folders, which lie in `folder`, over the `closed` ones. Raises OSError."""
    found = [Mount(folder / PurePosixPath(one).relative_to("/"), PurePosixPath(one)) for one in closed]
    for mount in found:
        mount.source.mkdir(parents=True, exist_ok=True)
    return found


def make_places(folder: Path, mounts: Iterable[Mount]) -> None:
    """Make the places for `mounts` in covers, which lie in `folder`. Raises OSError.

    Nobody makes them in a folder that is read-only. A tmpfs would not do: runc gives it the mode of what it covers.
    """
    for mount in mounts:
        if any(mount.target.is_relative_to(closed) for closed in _CLOSED):
            place = folder / mount.target.relative_to("/")
            (place if mount.source.is_dir() else place.parent).mkdir(parents=True, exist_ok=True)
            if not mount.source.is_dir():
                place.touch()


def no_folders(what: str, error: OSError) -> Unavailable:
    """Return the error for a session that cannot be `what` since its folders are out of reach."""
    return Unavailable(
        "engine-unavailable",
        f"The session's folders cannot be written, so it cannot be {what} now.",
        hint="See that the disk is not full and the data directory can be written.",
        detail=str(error),
    )
