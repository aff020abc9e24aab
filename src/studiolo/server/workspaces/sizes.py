"""What a workspace's sessions may use: shown, changed, and its configuration as a file."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from studiolo.contract.details import EnvironmentConfig, WorkspaceConfig
from studiolo.contract.errors import InvalidInput
from studiolo.contract.models import Workspace
from studiolo.contract.resources import Capacity, Resources, Scale, WorkspaceLimits
from studiolo.engines.base import Machine
from studiolo.kit.db import Database
from studiolo.server.engines import capacity_of, enforcement_of
from studiolo.server.principal import Principal
from studiolo.server.settings.resources import ResourceSettings
from studiolo.server.workspaces.allowance import decide_allowance, foresee_resources, largest_allowed
from studiolo.server.workspaces.config_file import read_config_file, write_config_file
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.register import Register, config_of


class Machines(Protocol):
    """What is asked of the engines (see server.engines)."""

    def choose(self, name: str | None) -> str:
        """Return the engine that runs what names none."""
        ...

    async def machine(self, name: str) -> Machine:
        """Return what it has."""
        ...


class Tools(Protocol):
    """Which versions of Python and JupyterLab there are; given by the composition root."""

    async def settle(self, environment: EnvironmentConfig) -> EnvironmentConfig:
        """Return it with `latest` resolved; raises InvalidInput (`python-not-found`, `jupyter-not-found`)."""
        ...


class Sizes:
    """Configurations of workspaces; a change counts from the next start of a session on."""

    def __init__(
        self,
        db: Database,
        register: Register,
        machines: Machines,
        tools: Tools,
        folders: Folders,
        settings: ResourceSettings,
    ) -> None:
        self._db = db
        self._register = register
        self._machines = machines
        self._tools = tools
        self._folders = folders
        self._settings = settings

    async def settle(self, config: WorkspaceConfig) -> WorkspaceConfig:
        """Return a configuration with versions that exist; raises for what could never be launched.

        Raises LimitReached, InvalidInput (see decide_allowance; `python-not-found`, `jupyter-not-found`).
        """
        await self._check(config)
        return config.model_copy(update={"environment": await self._tools.settle(config.environment)})

    async def limits(self, who: Principal, reference: str) -> WorkspaceLimits:
        """Return what the next session may use, where that comes from, and what holds people to it."""
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "workspace.read")
        used = await asyncio.to_thread(self._folders.measure, self._folders.of(row["id"], row["root"]))
        return await self._limits(config_of(row), used)

    async def scale(
        self, who: Principal, reference: str, form: Scale, *, revision: int | None = None
    ) -> WorkspaceLimits:
        """Change profile or free numbers; a profile replaces the numbers that adjusted the one before.

        Raises LimitReached (`limit-exceeded`, `capacity-exceeded`), InvalidInput (`profile-unknown`, …),
        Conflict (`workspace-changed`).
        """
        if form.profile is None and form.resources == Resources():
            raise InvalidInput("request-invalid", "Say what to change: a profile, or numbers such as cpu and memory.")
        while True:
            before = await self._config(who, reference)
            kept = Resources() if form.profile else before.resources
            asked = {"profile": form.profile or before.profile, "resources": form.resources.over(kept)}
            after = before.model_copy(update=asked)
            # Outside of the transaction, since it asks an engine; so it is decided again if somebody was faster.
            await self._check(after)
            if await self._write(who, reference, before, after, revision=revision):
                return await self._limits(after, None)

    async def read_file(self, who: Principal, reference: str) -> str:
        """Return the configuration as the text of a workspace-config.yaml."""
        async with self._db.read() as connection:
            return write_config_file(
                config_of(await self._register.resolve(connection, who, reference, "workspace.read"))
            )

    async def write_file(
        self, who: Principal, reference: str, content: bytes, *, revision: int | None = None
    ) -> Workspace:
        """Replace the configuration by a workspace-config.yaml; another python_version counts from a reset on.

        Raises InvalidInput (`config-invalid`) with all faults, and as `settle` does; Conflict (`workspace-changed`).
        """
        after = await self.settle(await asyncio.to_thread(read_config_file, content))
        while not await self._write(who, reference, await self._config(who, reference), after, revision=revision):
            # Somebody changed it between our look and our turn; the file replaces that too.
            continue
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "workspace.read")
            return (await self._register.wires(connection, [row]))[0]

    async def _config(self, who: Principal, reference: str) -> WorkspaceConfig:
        async with self._db.read() as connection:
            return config_of(await self._register.resolve(connection, who, reference, "workspace.scale"))

    async def _write(
        self, who: Principal, reference: str, before: WorkspaceConfig, after: WorkspaceConfig, *, revision: int | None
    ) -> bool:
        async with self._db.write() as tx:
            row = await self._register.resolve_to_change(tx, who, reference, "workspace.scale", revision=revision)
            if config_of(row) != before:
                return False
            values: Mapping[str, object] = {"config": stored(after)}
            detail = {"profile": after.profile, "resources": after.resources.model_dump(exclude_none=True)}
            await self._register.change(tx, who, row, "workspace.scale", dict(values), **detail)
        return True

    async def _check(self, config: WorkspaceConfig) -> None:
        if config.profile is None and config.resources == Resources():
            return
        decide_allowance(
            profile=config.profile,
            own=config.resources,
            settings=self._settings,
            machine=capacity_of(await self._machine(), Capacity()),
            images=False,
            check_free=False,
        )

    async def _limits(self, config: WorkspaceConfig, disk_used: int | None) -> WorkspaceLimits:
        machine = await self._machine()
        own = config.resources.model_dump(exclude_none=True)
        return WorkspaceLimits(
            resources=foresee_resources(config.profile, own, self._settings),
            profile=config.profile or self._settings.default_profile or None,
            own=config.resources,
            largest=largest_allowed(self._settings, capacity_of(machine, Capacity())),
            enforcement=enforcement_of(machine),
            disk_used=disk_used,
        )

    async def _machine(self) -> Machine:
        return await self._machines.machine(self._machines.choose(None))


def stored(config: WorkspaceConfig) -> dict[str, object] | None:
    """Return a configuration as a row keeps it; None for an empty one."""
    return config.model_dump(mode="json", exclude_defaults=True) or None
