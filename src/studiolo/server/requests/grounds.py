"""What requests need of the domains below them; the composition fits these together (see parts.py)."""

from datetime import datetime
from typing import NamedTuple, Protocol

from studiolo.contract.environments import BuildState, Ecosystem
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
