"""What a workspace's sessions may use: shown, changed, and its configuration as a file."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from studiolo.contract.details import EnvironmentConfig, WorkspaceConfig
from studiolo.contract.errors import InvalidInput
from studiolo.contract.models import Workspace
from studiolo.contract.resources import Capacity, Resources, Scale, WorkspaceLimits
from studiolo.kit.db import Database
from studiolo.server.engines.engines import Engines, capacity_of
from studiolo.server.engines.words import enforcement_of
from studiolo.server.principal import Principal
from studiolo.server.settings.resources import ResourceSettings
from studiolo.server.workspaces.allowance import decide_allowance, foresee_resources, largest_allowed
from studiolo.server.workspaces.config_file import read_config_file, write_config_file
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.register import Register, config_of
from studiolo.server.workspaces.volumes import check_volumes


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
        engines: Engines,
        tools: Tools,
        folders: Folders,
        settings: ResourceSettings,
    ) -> None:
        self._db = db
        self._register = register
        self._engines = engines
        self._tools = tools
        self._folders = folders
        self._settings = settings

    async def settle(self, config: WorkspaceConfig, *, before: WorkspaceConfig | None = None) -> WorkspaceConfig:
        """Return a configuration with versions that exist; raises for what could never be launched.

        `before`: the one that it replaces. An engine that keeps the files itself is named by it: a new default moves
        no files. Raises LimitReached, InvalidInput (see decide_allowance, Engines; `python-not-found`, …).
        """
        await self._check(config, before=before)
        changes: dict[str, object] = {"environment": await self._tools.settle(config.environment)}
        engine = config.engine or self._engines.default
        if self._engines.of(engine).storage == "own":
            changes["engine"] = engine
        return config.model_copy(update=changes)

    async def limits(self, who: Principal, reference: str) -> WorkspaceLimits:
        """Return what the next session may use, where that comes from, and what holds people to it."""
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "workspace.read")
        folder = self._folders.of(row["id"], row["root"])
        used = await asyncio.to_thread(self._folders.measure, folder)
        limits = await self._limits(config_of(row), used)
        return limits.model_copy(update={"disk_held": self._folders.quotas.holds(folder)})

    async def scale(
        self, who: Principal, reference: str, form: Scale, *, revision: int | None = None
    ) -> WorkspaceLimits:
        """Change profile, free numbers, engine; a profile replaces the numbers that adjusted the one before.

        Raises LimitReached (`limit-exceeded`, `capacity-exceeded`), InvalidInput (`profile-unknown`,
        `engine-unknown`, `engine-storage`, `isolation-too-low`, `volume-not-supported`, …),
        Conflict (`workspace-changed`).
        """
        if form == Scale():
            raise InvalidInput("request-invalid", "Say what to change: a profile, or numbers such as cpu and memory.")
        while True:
            before = await self._config(who, reference)
            kept = Resources() if form.profile else before.resources
            asked = {
                "profile": form.profile or before.profile,
                "resources": form.resources.over(kept),
                "engine": before.engine if form.engine is None else form.engine or None,
                "min_isolation": form.min_isolation or before.min_isolation,
                "volumes": before.volumes if form.volumes is None else [name for name in form.volumes if name],
            }
            after = before.model_copy(update=asked)
            # Outside of the transaction, since it asks an engine; so it is decided again if somebody was faster.
            await self._check(after, before=before)
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
        asked = await asyncio.to_thread(read_config_file, content)
        while True:
            before = await self._config(who, reference)
            after = await self.settle(asked, before=before)
            if await self._write(who, reference, before, after, revision=revision):
                break
            # Somebody changed it between our look and our turn; the file replaces that too.
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
            detail: dict[str, object] = {
                "profile": after.profile,
                "resources": after.resources.model_dump(exclude_none=True),
                **({"engine": after.engine} if after.engine != before.engine else {}),
                **({"volumes": after.volumes} if after.volumes != before.volumes else {}),
                **({"min_isolation": after.min_isolation} if after.min_isolation != before.min_isolation else {}),
            }
            await self._register.change(tx, who, row, "workspace.scale", dict(values), **detail)
        return True

    async def _check(self, config: WorkspaceConfig, *, before: WorkspaceConfig | None = None) -> None:
        is_placed = bool(config.engine or config.min_isolation or config.volumes or (before and before.engine))
        is_sized = config.profile is not None or config.resources != Resources()
        if not is_placed and not is_sized:
            return
        engine = self._engines.choose(config.engine)
        # Asked before its isolation is read: some engines know only then how much they keep apart.
        machine = await self._engines.machine(engine)
        if before is not None:
            self._engines.check_move(before.engine, engine)
        self._engines.check_isolation(engine, config.min_isolation)
        check_volumes(config.volumes, self._settings.volumes, self._engines, engine)
        if not is_sized:
            return
        decide_allowance(
            profile=config.profile,
            own=config.resources,
            settings=self._settings,
            machine=capacity_of(machine, Capacity()),
            images=self._engines.images_of(engine),
            check_free=False,
        )

    async def _limits(self, config: WorkspaceConfig, disk_used: int | None) -> WorkspaceLimits:
        engine = config.engine or self._engines.default
        machine = await self._engines.machine(engine)
        own = config.resources.model_dump(exclude_none=True)
        return WorkspaceLimits(
            resources=foresee_resources(config.profile, own, self._settings),
            profile=config.profile or self._settings.default_profile or None,
            own=config.resources,
            largest=largest_allowed(self._settings, capacity_of(machine, Capacity())),
            enforcement=enforcement_of(machine),
            disk_used=disk_used,
            engine=engine,
            own_engine=config.engine,
            min_isolation=config.min_isolation,
            volumes=config.volumes,
        )


def stored(config: WorkspaceConfig) -> dict[str, object] | None:
    """Return a configuration as a row keeps it; None for an empty one."""
    return config.model_dump(mode="json", exclude_defaults=True) or None
