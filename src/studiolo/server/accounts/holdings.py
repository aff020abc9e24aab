"""What people hold in workspaces, as this domain needs it; given by the composition root: workspaces import us."""

from collections.abc import Iterable
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.models import WorkspaceRef
from studiolo.contract.operations import Role
from studiolo.kit.db import Transaction
from studiolo.server.principal import Principal


class Holdings(Protocol):
    """Memberships of people, and what runs in them."""

    async def find_to_share(self, connection: AsyncConnection, who: Principal, reference: str) -> WorkspaceRef:
        """Return a workspace in which the caller may give roles; raises NotFound, Denied."""
        ...

    async def list_refs(self, connection: AsyncConnection, ids: Iterable[str]) -> dict[str, WorkspaceRef]:
        """Return those workspaces that are still there, by id."""
        ...

    async def join(self, tx: Transaction, who: Principal, workspace_id: str, role: Role, *, given_by: str) -> None:
        """Make a newcomer member of a workspace, with its record; nothing if that is gone."""
        ...

    async def stop_all(self, tx: Transaction, who: Principal, person_id: str) -> None:
        """Want all sessions and kernels of a person stopped: the person is suspended."""
        ...

    async def list_owned(self, connection: AsyncConnection, person_id: str) -> list[str]:
        """Names of the workspaces whose owner a person is."""
        ...

    async def leave_all(self, tx: Transaction, who: Principal, person_id: str) -> None:
        """Take a person's access to all workspaces away, each with its record."""
        ...

    async def erase_settings(self, person_id: str) -> None:
        """Remove the files of a person's own: settings, tabs and history. Repeatable."""
        ...
