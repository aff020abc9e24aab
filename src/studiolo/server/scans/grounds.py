"""What a scan of a workspace starts from: its folders, the policy that holds now, and what its index delivered."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import RowMapping

from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey
from studiolo.kit.db import Database
from studiolo.packages.policy.effective import Policy
from studiolo.packages.scan.environment import Delivery
from studiolo.packages.scan.job import ScanJob
from studiolo.server.environments.stage import is_ready
from studiolo.server.packages.clients import index_address
from studiolo.server.packages.effective import Policies
from studiolo.server.scans import queries
from studiolo.server.settings import Settings
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.register import config_of

_PURPOSE = "secrets found by scans"


class Grounds:
    """Gathers what a scan is given. `isolation`: the level of the engine that is least isolated."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        clock: Clock,
        master: MasterKey,
        folders: Folders,
        policies: Policies,
        *,
        isolation: str,
    ) -> None:
        self._settings = settings
        self._db = db
        self._clock = clock
        self._master = master
        self._folders = folders
        self._policies = policies
        self.isolation = isolation

    async def of(self, row: RowMapping) -> tuple[ScanJob, Policy]:
        """Return the job for a workspace, and the policy that it is judged by."""
        _, policy = await self._policies.effective(row["id"])
        async with self._db.read() as connection:
            deliveries = await queries.list_deliveries(connection, row["id"])
        data_dir, export = self._settings.data_dir, self._settings.packages.osv_folder
        job = ScanJob(
            root=self._folders.of(row["id"], row["root"]),
            prefix=self._folders.environment(row["id"]),
            bases=await asyncio.to_thread(_bases, data_dir / "environments"),
            settings_folders=await asyncio.to_thread(_settings_folders, data_dir / "people", row["id"]),
            variables=config_of(row).environment.variables,
            policy=policy.to_json(),
            deliveries=[Delivery(**delivery) for delivery in deliveries],
            indexes=self._indexes(),
            osv_export=export,
            osv_index=self._settings.osv_index,
            # A key of each workspace's own: equal secrets of two workspaces must not be seen to be equal.
            key=self._master.digest(_PURPOSE, row["id"]),
            now=self._clock.now(),
        )
        return job, policy

    def _indexes(self) -> list[str]:
        # As people reach the platform, and as its workloads do.
        return [urlsplit(one).netloc for one in (self._settings.address, index_address(self._settings))]


def _bases(environments: Path) -> list[Path]:
    """List the bases that the platform built. Which one a clone says it is of, its people can write."""
    return [base for base in sorted(environments.glob("base-*")) if is_ready(base)]


def _settings_folders(people: Path, workspace_id: str) -> list[Path]:
    return [folder for folder in people.glob(f"*/{workspace_id}") if folder.is_dir() and not folder.is_symlink()]
