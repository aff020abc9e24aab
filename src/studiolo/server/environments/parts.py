"""Builds the services of environments' builds: what the composition root passes in, and what it gets."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from studiolo.kit.db import Database
from studiolo.packages.conda.channels import Channels
from studiolo.server.environments import queries
from studiolo.server.environments.base_parts import BaseParts, base_of
from studiolo.server.environments.builder import Builder
from studiolo.server.environments.builds import Builds
from studiolo.server.environments.clone import interpreter_of
from studiolo.server.environments.conda_installer import CondaInstaller
from studiolo.server.environments.history import History
from studiolo.server.environments.leftovers import Leftovers
from studiolo.server.environments.locks import Locks
from studiolo.server.environments.making import Maker
from studiolo.server.environments.planning import Ground, Planner
from studiolo.server.environments.policed import closer, excepter, opener
from studiolo.server.environments.progress import Progress
from studiolo.server.environments.recording import Recorder
from studiolo.server.environments.restoring import Restoring
from studiolo.server.environments.searching import CondaSearch
from studiolo.server.environments.service import BuildBase, Environments
from studiolo.server.environments.spares import Spares
from studiolo.server.environments.watching import Watcher
from studiolo.server.environments.wishes import Wish
from studiolo.server.foundation import Foundation
from studiolo.server.packages.index_parts import IndexParts
from studiolo.server.packages.parts import PackageParts
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.parts import WorkspaceParts


@dataclass(frozen=True)
class EnvironmentParts:
    """The services of environments and their builds by name."""

    environments: Environments
    planner: Planner
    maker: Maker
    builder: Builder
    builds: Builds
    build_history: History
    conda_search: CondaSearch
    environment_recorder: Recorder
    live_environments: Watcher
    environment_restoring: Restoring

    def join(self, of_packages: PackageParts, of_index: IndexParts) -> None:
        """Have plans judged, exceptions made, closures found, and files fetched from our own index."""
        self.planner.policy = self.environment_recorder.policy = of_packages.policies.effective
        self.builds.make_exception = excepter(of_packages.grants)
        self.maker.index = opener(of_packages.package_clients, of_index.index_credentials)
        of_packages.policy_closures.resolve = closer(self.planner)


def build_environments(
    on: Foundation,
    of_workspaces: WorkspaceParts,
    of_bases: BaseParts,
    *,
    build_base: BuildBase | None,
    isolation: str,
) -> EnvironmentParts:
    """Build them; nothing runs yet. `build_base` replaces how the platform's own base is made."""
    db, clock, audit, settings = on.db, on.clock, on.audit, on.settings
    workspaces, folders = of_workspaces.workspaces, of_workspaces.folders
    spares = Spares()
    environments = _environments(on, of_workspaces, of_bases, spares, build_base)
    conda = CondaInstaller(settings.data_dir / "cache" / "conda", Channels(settings.packages.conda_channels))
    planner = Planner(clock, {"pypi": of_bases.pip_installer, "conda": conda})
    planner.ground = _ground(db, folders, environments)
    locks, progress = Locks(db), Progress()
    progress.on_news = lambda workspace_id: on.live.publish((f"workspace:{workspace_id}",), workspace_id=workspace_id)
    maker = Maker(db, planner, locks, spares)
    builder = Builder(db, clock, audit, workspaces, folders, environments, maker, locks, progress)
    recorder = Recorder(db, clock, audit, folders, locks)
    recorder.begin = builder.record_beginning
    environments.on_provided = _beginning(builder, recorder)
    watcher = Watcher(db, clock, folders, recorder)
    builder.on_ended = lambda workspace_id, number: watcher.look(workspace_id)
    builds = Builds(db, clock, audit, workspaces, planner, builder)
    return EnvironmentParts(
        environments=environments,
        planner=planner,
        maker=maker,
        builder=builder,
        builds=builds,
        build_history=History(db, clock, workspaces, folders, locks, planner, progress, isolation=isolation),
        conda_search=CondaSearch(db, clock, workspaces, planner, conda),
        environment_recorder=recorder,
        live_environments=watcher,
        environment_restoring=Restoring(db, workspaces, builds),
    )


def _environments(
    on: Foundation,
    of_workspaces: WorkspaceParts,
    of_bases: BaseParts,
    spares: Spares,
    build_base: BuildBase | None,
) -> Environments:
    build_other = base_of(on.settings)
    environments = Environments(
        on.db,
        of_workspaces.workspaces,
        of_workspaces.folders,
        of_bases.interpreters,
        spares,
        Leftovers(on.settings.data_dir / "environments", after=spares.settle),
        build_base=build_base or partial(build_other, on.settings.environments.python),
        build_other=build_other,
        build_named=of_bases.bases.build,
    )
    of_workspaces.trash.on_restored = of_workspaces.resets.on_reset = environments.want
    return environments


def _beginning(builder: Builder, recorder: Recorder) -> Callable[[str], Awaitable[None]]:
    async def begin(workspace_id: str) -> None:
        await builder.record_beginning(workspace_id)
        await recorder.note_beginning(workspace_id)

    return begin


def _ground(db: Database, folders: Folders, environments: Environments) -> Callable[[str | None], Awaitable[Ground]]:
    async def ground(workspace_id: str | None) -> Ground:
        if workspace_id is None:
            base = await environments.default_base()
            return Ground(base, interpreter_of(base))
        live = folders.environment(workspace_id)
        async with db.read() as connection:
            row = await queries.find_live(connection, workspace_id)
        asked = Wish.from_json(json.loads(row["wish"])).asked if row is not None else []
        if not live.is_dir():
            # It will hold what its base holds.
            live = await environments.base_for(workspace_id)
        return Ground(live, await asyncio.to_thread(interpreter_of, live), asked)

    return ground
