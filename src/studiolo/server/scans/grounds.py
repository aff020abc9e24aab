"""What a scan of a workspace starts from: its folders, the policy that holds now, and what its index delivered."""

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import RowMapping

from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey
from studiolo.kit.db import Database
from studiolo.packages.installed.lock import Lock
from studiolo.packages.policy.effective import Policy
from studiolo.packages.scan.environment import Delivery
from studiolo.packages.scan.job import ScanJob
from studiolo.server.environments.queries import find_live
from studiolo.server.environments.stage import is_ready
from studiolo.server.packages.clients import index_address
from studiolo.server.packages.effective import Policies
from studiolo.server.scans import queries
from studiolo.server.settings import Settings
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.register import config_of

# The index gathers for a fifth of a second what it tells.
_TOLD_SECONDS = 3.0
_PAUSE_SECONDS = 0.1
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
        deliveries = await self._deliveries(row["id"])
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

    async def _deliveries(self, workspace_id: str) -> list[RowMapping]:
        """Return what the index delivered, all that the live build was made of too.

        The index tells of it a moment later, and a scan may begin in that moment.
        """
        deadline = time.monotonic() + _TOLD_SECONDS
        while True:
            async with self._db.read() as connection:
                found = await queries.list_deliveries(connection, workspace_id)
                live = await find_live(connection, workspace_id)
            missing = _delivered(live) - {row["sha256"] for row in found}
            if not missing or time.monotonic() > deadline:
                return found
            await asyncio.sleep(_PAUSE_SECONDS)

    def _indexes(self) -> list[str]:
        # As people reach the platform, and as its workloads do.
        return [urlsplit(one).netloc for one in (self._settings.address, index_address(self._settings))]


def _delivered(live: RowMapping | None) -> set[str]:
    """Return the SHA-256 of the files that a build was made of."""
    packages = Lock.from_toml(live["lock"]).packages if live is not None and live["lock"] else ()
    return {one.sha256 for one in packages if one.origin == "delivered" and one.sha256}


def _bases(environments: Path) -> list[Path]:
    """List the bases that the platform built. Which one a clone says it is of, its people can write."""
    return [base for base in sorted(environments.glob("base-*")) if is_ready(base)]


def _settings_folders(people: Path, workspace_id: str) -> list[Path]:
    return [folder for folder in people.glob(f"*/{workspace_id}") if folder.is_dir() and not folder.is_symlink()]
