"""Installations of what was approved, as builds of environments."""

from studiolo.contract.environments import Ecosystem
from studiolo.contract.models import EnvironmentState
from studiolo.kit.db import Database
from studiolo.server.environments import queries
from studiolo.server.environments.builds import Builds
from studiolo.server.environments.service import Environments
from studiolo.server.environments.wishes import Wish
from studiolo.server.principal import Principal
from studiolo.server.requests.grounds import BuildOutcome
from studiolo.server.workspaces.service import Workspaces


class BuildInstalls:
    """Implements `grounds.Installs`: one build for each approval."""

    def __init__(self, db: Database, workspaces: Workspaces, environments: Environments, builds: Builds) -> None:
        self._db = db
        self._workspaces = workspaces
        self._environments = environments
        self._builds = builds

    async def prepare(self, workspace_id: str) -> bool:
        """Tell whether the workspace's environment is there; have it made if not."""
        state, _ = await self._workspaces.environment_state(workspace_id)
        if state is not EnvironmentState.READY:
            self._environments.want(workspace_id)
        return state is EnvironmentState.READY

    async def begin(self, workspace_id: str, spec: str, ecosystem: Ecosystem, *, by: Principal) -> int:
        """Ask for the build; it is made once those asked for before are."""
        wish = Wish(conda=[spec]) if ecosystem == "conda" else Wish(install=[spec])
        return (await self._builds.begin(by, workspace_id, wish, cause="request")).number

    async def outcome(self, workspace_id: str, number: int) -> BuildOutcome:
        """Return how far the build came."""
        async with self._db.read() as connection:
            row = await queries.find_build(connection, workspace_id, number)
        if row is None:
            return BuildOutcome("failed", f"Build {number} is not there any more.")
        return BuildOutcome(row["state"], row["message"])
