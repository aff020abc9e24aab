"""Making a launch ready to be begun: its folders, whose they are, its request, and what its container is to be."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import WorkloadSpec
from studiolo.engines.container import ground, owners
from studiolo.engines.container.configuration import Host, Mount, container_config, workspace_mounts
from studiolo.engines.container.ground import WayOut
from studiolo.engines.container.launches import Launch
from studiolo.engines.container.settings import ContainerOptions, ContainerSettings
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
            owners.give(folder, self.owner)
        way_out = ground.find_way_out(spec.platform_url, self._on.door)
        return container_config(
            spec,
            launch,
            self._settings,
            host,
            image=image,
            mounts=cover(launch.cover, [*mounts, *self._tools(spec, way_out)]),
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
            for folder in (*named, *written)
            if ".." not in folder.parts and any(folder.is_relative_to(place) for place in allowed)
        )

    def _program(self) -> list[str]:
        if self._settings.runtime == "image":
            return [self._settings.python]
        return [str(ground.own_python())]

    def _tools(self, spec: WorkloadSpec, way_out: WayOut | None) -> list[Mount]:
        """Return what containers read of this machine."""
        folders = ground.find_interpreters(spec.environment)
        if self._settings.runtime == "mount":
            folders += [*ground.find_runtime_folders(), offer_tools(self._on.data_dir)]
        if way_out is not None:
            # The folder, since the socket is another file after each start of the front door.
            folders.append(way_out.socket.parent)
        folders += [file for file in self._on.certificates if file.exists()]
        extra = [Mount(one.source, PurePosixPath(one.target), one.writable) for one in self._settings.mounts]
        return [*map(Mount.same, ground.without_nested(folders)), *extra]


def cover(folder: Path, mounts: Sequence[Mount]) -> list[Mount]:
    """Return `mounts` and, for those in folders that images keep closed, open ones to put them into. Raises OSError.

    `folder` gets the places to mount at: nobody makes them in a folder that is read-only. A tmpfs would not do, since
    runc gives it the mode of what it covers.
    """
    covers = []
    for closed in _CLOSED:
        inner = [mount for mount in mounts if mount.target.is_relative_to(closed)]
        for mount in inner:
            place = folder / mount.target.relative_to("/")
            (place if mount.source.is_dir() else place.parent).mkdir(parents=True, exist_ok=True)
            if not mount.source.is_dir():
                place.touch()
        if inner:
            covers.append(Mount(folder / closed.relative_to("/"), closed))
    return [*covers, *mounts]


def no_folders(what: str, error: OSError) -> Unavailable:
    """Return the error for a session that cannot be `what` since its folders are out of reach."""
    return Unavailable(
        "engine-unavailable",
        f"The session's folders cannot be written, so it cannot be {what} now.",
        hint="See that the disk is not full and the data directory can be written.",
        detail=str(error),
    )
