"""What conda channels have of a package, and what a workspace's policy says of each version."""

import asyncio
from collections.abc import Sequence

from studiolo.contract.environments import PlannedPackage
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.packages.installed.reading import read_environment
from studiolo.server.environments.conda_installer import CondaInstaller
from studiolo.server.environments.judging import judge
from studiolo.server.environments.planning import Planner
from studiolo.server.environments.specs import read_spec
from studiolo.server.principal import Principal
from studiolo.server.workspaces.service import Workspaces


class CondaSearch:
    """Looks in channels for the people of workspaces."""

    def __init__(
        self, db: Database, clock: Clock, workspaces: Workspaces, planner: Planner, conda: CondaInstaller
    ) -> None:
        self._db = db
        self._clock = clock
        self._workspaces = workspaces
        self._planner = planner
        self._conda = conda

    async def search(
        self, who: Principal, reference: str, name: str, channels: Sequence[str] = ()
    ) -> list[PlannedPackage]:
        """Return the files that `channels` and the trusted ones have of a package, newest version first.

        Raises InvalidInput (`package-invalid`), Denied (`package-refused`) for a channel that is not trusted,
        Unavailable (`packages-unavailable`).
        """
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, reference, "environment.plan")
        wanted = read_spec(name).name
        _, policy = await self._planner.policy(row["id"]) if self._planner.policy is not None else (None, None)
        found = await self._conda.search(wanted, channels, policy.channels if policy is not None else None)
        ground = await self._planner.ground(row["id"])
        snapshot = await asyncio.to_thread(read_environment, ground.environment)
        present = {one.name: one.version for one in snapshot.distributions if one.ecosystem == "conda"}
        return judge(found, present, policy, "conda", self._clock.now())
