"""What the workspaces domain asks of all that runs: sessions, and the headless kernels beside them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.kit.db import Transaction
from studiolo.server.kernels import queries
from studiolo.server.kernels.closing import KernelCloser
from studiolo.server.kernels.stopping import KernelStopper
from studiolo.server.principal import Principal
from studiolo.server.sessions.workspace_sessions import WorkspaceSessions


class WorkspaceKernels:
    """Implements `workspaces.register.SessionsOfWorkspaces` for sessions and kernels together."""

    def __init__(self, sessions: WorkspaceSessions, stopper: KernelStopper, closer: KernelCloser) -> None:
        self._sessions = sessions
        self._stopper = stopper
        self._closer = closer

    async def count_running(self, connection: AsyncConnection, ids: Iterable[str]) -> dict[str, int]:
        """Number of sessions alive for each workspace."""
        return await self._sessions.count_running(connection, ids)

    async def list_workspaces_in_use(self, connection: AsyncConnection) -> set[str]:
        """Workspaces in which a session or a kernel without one is alive."""
        headless = await queries.list_workspaces_headless(connection)
        return headless | await self._sessions.list_workspaces_in_use(connection)

    async def list_users(self, connection: AsyncConnection, workspace_id: str) -> list[Principal]:
        """As `WorkspaceSessions.list_users`, and who has kernels without a session."""
        headless = [
            Principal(row["person_id"], row["person_name"], row["person_display_name"], is_admin=False, via="kernel")
            for row in await queries.list_headless(connection, workspace_id)
        ]
        return [*dict.fromkeys(headless), *await self._sessions.list_users(connection, workspace_id)]

    async def stop_all(
        self,
        tx: Transaction,
        who: Principal,
        workspace_id: str,
        *,
        person_id: str | None,
        code: str = "workspace-deleted",
    ) -> None:
        """Want all sessions and kernels of a workspace (of one person) stopped, in the same transaction."""
        await self._sessions.stop_all(tx, who, workspace_id, person_id=person_id, code=code)
        await self._stopper.stop_all(tx, workspace_id, person_id, {"code": code, "by": who.display_name})
        tx.after_commit(lambda: self._closer.close_workspace(workspace_id, person_id))

    async def usage_of_workspace(self, connection: AsyncConnection, workspace_id: str) -> dict[str, Any]:
        """As `WorkspaceSessions.usage_of_workspace`, with the headless kernels counted."""
        usage = await self._sessions.usage_of_workspace(connection, workspace_id)
        headless = [row for row in await queries.list_alive(connection, workspace_id) if row["session_id"] is None]
        busy = sum(row["state"] == "busy" for row in headless)
        return usage | {"kernels": usage["kernels"] + len(headless), "busy_kernels": usage["busy_kernels"] + busy}

    async def last_there(self, connection: AsyncConnection, workspace_id: str) -> dict[str, datetime]:
        """As `WorkspaceSessions.last_there`; headless kernels are nobody's being there."""
        return await self._sessions.last_there(connection, workspace_id)

    async def executions_of_workspace(
        self, connection: AsyncConnection, workspace_id: str, *, limit: int = 50
    ) -> list[dict[str, Any]]:
        """As `WorkspaceSessions.executions_of_workspace`."""
        return await self._sessions.executions_of_workspace(connection, workspace_id, limit=limit)
