"""How a workspace's own package policy goes into its archive and comes out of one; packages keep it, above here."""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.archives import ArchivedPolicy
from studiolo.kit.db import Transaction
from studiolo.server.principal import Principal


class ArchivedPolicies(Protocol):
    """Who keeps policies; set by the composition root."""

    async def to_archive(self, connection: AsyncConnection, workspace_id: str) -> list[ArchivedPolicy]:
        """Return the revisions that hold, in their order."""
        ...

    def check_archived(self, policies: Sequence[ArchivedPolicy]) -> None:
        """Raise InvalidInput (`policy-invalid`) for one that cannot be read here: left out, it would widen."""
        ...

    async def from_archive(
        self, tx: Transaction, who: Principal, workspace_id: str, policies: Sequence[ArchivedPolicy]
    ) -> None:
        """Have a new workspace keep to them."""
        ...
