"""What requests need of the domains below them; the composition fits these together (see parts.py)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from studiolo.contract.environments import BuildState, Ecosystem, Plan
from studiolo.kit.db import Transaction
from studiolo.packages.policy.effective import Policy
from studiolo.server.environments.installing import Resolved
from studiolo.server.principal import Principal


class Facts(NamedTuple):
    """What is known of one version of a package; None: unknown."""

    size_bytes: int | None = None
    uploaded_at: datetime | None = None
    licence: str | None = None
    maintainers: str | None = None
    vulnerabilities: list[str] | None = None


class BuildOutcome(NamedTuple):
    """How far the build of an environment came. `message`: why it failed."""

    state: BuildState
    message: str | None


class Policies(Protocol):
    """Knows what holds for a workspace."""

    async def effective(self, workspace_id: str) -> tuple[int, Policy]:
        """Return the number of the workspace's effective policy, and the policy."""
        ...


class Grants(Protocol):
    """Keeps what was allowed beside the policies."""

    async def add(
        self,
        tx: Transaction,
        who: Principal,
        *,
        kind: Literal["approval", "exception"],
        workspace_id: str | None,
        ecosystem: Ecosystem,
        name: str,
        specifier: str,
        reason: str,
        until: datetime | None,
        request_id: str | None,
    ) -> str:
        """Add one within a transaction; `workspace_id` None: everywhere. Policies follow from the commit on."""
        ...


class Planner(Protocol):
    """Works out what an installation comes to."""

    async def plan(
        self, workspace_id: str | None, specs: Sequence[str], ecosystem: Ecosystem
    ) -> tuple[Plan, Sequence[Resolved]]:
        """Return all that would come along, judged, and its files. Raises StudioloError where none fit together."""
        ...


class Catalogue(Protocol):
    """Knows packages."""

    async def find(self, workspace_id: str, ecosystem: Ecosystem, package: Resolved) -> Facts:
        """Return what is known of a version of a package; never raises, takes some seconds at most."""
        ...


class Installs(Protocol):
    """Has packages installed."""

    async def prepare(self, workspace_id: str) -> bool:
        """Tell whether the workspace has an environment to plan for; have it made where it has none yet."""
        ...

    async def begin(self, workspace_id: str, spec: str, ecosystem: Ecosystem, *, by: Principal) -> int:
        """Have a package installed in a workspace, also in one where nothing runs; return the build's number.

        Raises StudioloError where it cannot begin.
        """
        ...

    async def outcome(self, workspace_id: str, number: int) -> BuildOutcome:
        """Return how far that build came."""
        ...
