"""Builds the services of environments' builds: what the composition root passes in, and what it gets."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.packages.conda.channels import Channels
from studiolo.server.audit.service import Audit
from studiolo.server.environments import queries
from studiolo.server.environments.builder import Builder
from studiolo.server.environments.builds import Builds
from studiolo.server.environments.clone import interpreter_of
from studiolo.server.environments.conda_installer import CondaInstaller
from studiolo.server.environments.history import History
from studiolo.server.environments.locks import Locks
from studiolo.server.environments.making import Maker
from studiolo.server.environments.planning import Ground, Planner
from studiolo.server.environments.policed import excepter, opener
from studiolo.server.environments.progress import Progress
from studiolo.server.environments.recording import Recorder
from studiolo.server.environments.searching import CondaSearch
from studiolo.server.environments.service import Environments
from studiolo.server.environments.uv_installer import UvInstaller
from studiolo.server.environments.watching import Watcher
from studiolo.server.environments.wishes import Wish
from studiolo.server.packages.clients import PackageClients
from studiolo.server.packages.credentials import IndexCredentials
from studiolo.server.packages.effective import Policies
from studiolo.server.packages.grants import Grants
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.service import Workspaces


@dataclass(frozen=True)
class EnvironmentParts:
    """The services of builds by name."""

    planner: Planner
    locks: Locks
    progress: Progress
    maker: Maker
    builder: Builder
    builds: Builds
    history: History
    conda_search: CondaSearch
    recorder: Recorder
    watcher: Watcher

    def join(self, policies: Policies, grants: Grants, clients: PackageClients, credentials: IndexCredentials) -> None:
        """Have plans judged, exceptions made, and files fetched from our own index."""
        self.planner.policy = self.recorder.policy = policies.effective
        self.builds.make_exception = excepter(grants)
        self.maker.index = opener(clients, credentials)


def build_environments(
    data_dir: Path,
    pip: UvInstaller,
    *,
    clock: Clock,
    db: Database,
    audit: Audit,
    workspaces: Workspaces,
    folders: Folders,
    environments: Environments,
    isolation: str,
    conda_channels: Mapping[str, str],
) -> EnvironmentParts:
    """Build them; nothing runs yet."""
    conda = CondaInstaller(data_dir / "cache" / "conda", Channels(conda_channels))
    planner = Planner(clock, {"pypi": pip, "conda": conda})
    planner.ground = _ground(db, folders, environments)
    locks, progress = Locks(db), Progress()
    progress.on_news = lambda workspace_id: audit.live.publish(
        (f"workspace:{workspace_id}",), workspace_id=workspace_id
    )
    maker = Maker(db, planner, locks)
    builder = Builder(db, clock, audit, workspaces, folders, environments, maker, locks, progress)
    recorder = Recorder(db, clock, audit, folders, locks)
    recorder.begin = builder.record_beginning
    environments.on_provided = _beginning(builder, recorder)
    watcher = Watcher(db, clock, folders, recorder)
    builder.on_ended = lambda workspace_id, number: watcher.look(workspace_id)
    return EnvironmentParts(
        planner=planner,
        locks=locks,
        progress=progress,
        maker=maker,
        builder=builder,
        builds=Builds(db, clock, audit, workspaces, planner, builder),
        conda_search=CondaSearch(db, clock, workspaces, planner, conda),
        history=History(db, clock, workspaces, folders, locks, planner, progress, isolation=isolation),
        recorder=recorder,
        watcher=watcher,
    )


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
