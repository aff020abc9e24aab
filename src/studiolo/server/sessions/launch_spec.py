"""From a session's row to what its engine is to run."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import RowMapping

from studiolo.contract.resources import Profile, Resources
from studiolo.engines.base import Engine, Limits, Machine, WorkloadSpec
from studiolo.packages.clients.sources import without_sources
from studiolo.runtime.recipes import Recipe
from studiolo.server.gpus.leases import Leases
from studiolo.server.packages.clients import Configure
from studiolo.server.packages.startup import StartupScan
from studiolo.server.sessions.queries import KERNELS
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.server.sessions.wire import limits_of
from studiolo.server.settings.resources import VolumeOffer
from studiolo.server.settings.sessions import SessionSettings
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.volumes import volumes_of

# Libraries that start a thread for each processor of the machine unless they are told how many they have.
_THREAD_POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "POLARS_MAX_THREADS",
    "PYTHON_CPU_COUNT",
)


class LaunchSpecs:
    """Builds specs. `variables`: for all sessions; `of_workspace`: those that a workspace's people set.

    `datasets`: read-only folders by name. `profiles`: hold options for single engines. `volumes`: all on offer.
    `recipe`: of a workspace's environment, for engines that have it made where they keep its files.
    """

    def __init__(
        self,
        folders: Folders,
        session_secrets: SessionSecrets,
        settings: SessionSettings,
        *,
        address: str,
        variables: Mapping[str, str],
        of_workspace: Callable[[RowMapping], Mapping[str, str]],
        configure: Configure,
        startup: StartupScan,
        datasets: Callable[[RowMapping], Mapping[str, Path]],
        profiles: Sequence[Profile],
        volumes: Sequence[VolumeOffer],
        leases: Leases,
        recipe: Callable[[str], Awaitable[Recipe | None]],
    ) -> None:
        self._recipe = recipe
        self._volumes = volumes
        self._leases = leases
        self._folders = folders
        self._secrets = session_secrets
        self._settings = settings
        self._address = address
        self._variables = variables
        self._of_workspace = of_workspace
        self._configure = configure
        self._startup = startup
        self._datasets = datasets
        self._options = {profile.name: profile.engines for profile in profiles}

    def environment(self, row: RowMapping) -> Path:
        """Return where the environment of the session's workspace lies."""
        return self._folders.environment(row["workspace_id"])

    async def spec(self, row: RowMapping, engine: Engine, machine: Machine) -> WorkloadSpec:
        """Return what to run for the launch that is wanted.

        Raises Denied (`environment-refused`) for an environment that the start-up scan refuses.
        """
        allowed, environment = limits_of(row), self.environment(row)
        await self._startup.check(row["workspace_id"], environment)
        api_key = self._secrets.api_key(row["id"], row["launch"])
        gpus = await self._leases.variables(machine, row["id"], row["launch"])
        tools = await self._configure(row["workspace_id"], row["person_id"], environment, api_key)
        return WorkloadSpec(
            workload_id=row["id"],
            launch=row["launch"],
            workspace_id=row["workspace_id"],
            folder=self._folders.of(row["workspace_id"], row["workspace_root"]),
            environment=environment,
            base_url=f"/s/{row['id']}/",
            secret=self._secrets.of_launch(row["id"], row["launch"]),
            platform_url=self._address,
            api_key=api_key,
            tool_files=tools.files,
            netrc=tools.netrc,
            limits=Limits(
                cpu=allowed.cpu,
                memory=allowed.memory,
                processes=self._settings.max_processes,
                gpu=allowed.gpu or 0,
                gpu_type=allowed.gpu_type,
                disk=allowed.disk,
                seconds=allowed.time_limit,
            ),
            image=allowed.image if engine.runs_images else None,
            datasets=self._datasets(row),
            person=row["person_name"],
            labels={
                "workspace": f"{row['owner_name']}/{row['workspace_name']}",
                "person": row["person_display_name"],
                **({"e-mail": row["person_email"]} if row["person_email"] else {}),
                "people": str(row["member_count"]),
            },
            options=self._options.get((row["allowed"] or {}).get("profile") or "", {}).get(row["engine"], {}),
            volumes=volumes_of(row["config"], self._volumes, engine, row["person_name"]),
            only_kernels=row["kind"] == KERNELS,
            recipe=await self._recipe(row["workspace_id"]) if engine.storage == "own" else None,
            variables={
                **limit_variables(allowed, machine),
                **without_sources(self._of_workspace(row)),
                **self._variables,
                **tools.variables,
                **gpus,
                **own_places(self._folders.of_person(row["workspace_id"], row["person_id"])),
                "STUDIOLO_WORKSPACE": f"{row['owner_name']}/{row['workspace_name']}",
            },
        )


def limit_variables(allowed: Resources, machine: Machine) -> dict[str, str]:
    """Tell a session its limits: MEM_LIMIT (bytes) and CPU_LIMIT, as jupyter-resource-usage reads them.

    With fewer processors than the machine has, thread pools are told too, else a quota is shared by too many.
    """
    variables = {}
    if allowed.memory is not None:
        variables["MEM_LIMIT"] = str(allowed.memory)
    if allowed.cpu is not None:
        variables["CPU_LIMIT"] = f"{allowed.cpu:g}"
        if machine.cpu is None or allowed.cpu < machine.cpu:
            variables |= dict.fromkeys(_THREAD_POOLS, str(math.ceil(allowed.cpu)))
    return variables


def own_places(folder: Path) -> dict[str, str]:
    """A person's own JupyterLab in a workspace: settings, tabs and history come back in their next session."""
    return {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "lab" / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
