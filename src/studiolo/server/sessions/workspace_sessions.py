"""What the workspaces domain asks of sessions: how many run, what they used, and that they end."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.kit.clock import Clock
from studiolo.kit.db import Transaction
from studiolo.server.accounts.keys import Keys
from studiolo.server.live import Live
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries, usage_queries
from studiolo.server.sessions.closing import SocketCloser
from studiolo.server.sessions.wishes import Wishes


class WorkspaceSessions:
    """Implements `workspaces.service.SessionsOfWorkspaces`."""

    def __init__(self, clock: Clock, keys: Keys, wishes: Wishes, live: Live, closer: SocketCloser) -> None:
        self._clock = clock
        self._keys = keys
        self._wishes = wishes
        self._live = live
        self._closer = closer

    async def count_running(self, connection: AsyncConnection, ids: Iterable[str]) -> dict[str, int]:
        """Number of sessions alive for each workspace."""
        return await queries.count_running(connection, ids)

    async def list_workspaces_in_use(self, connection: AsyncConnection) -> set[str]:
        """Workspaces in which a session is alive."""
        return await queries.list_workspaces_alive(connection)

    async def list_users(self, connection: AsyncConnection, workspace_id: str) -> list[Principal]:
        """Who has a session alive in a workspace, each with its id."""
        return [
            Principal(
                row["person_id"],
                row["person_name"],
                row["person_display_name"],
                is_admin=False,
                via="session",
                session_id=row["id"],
            )
            for row in await queries.list_alive_of_workspace(connection, workspace_id)
        ]

    async def stop_all(
        self,
        tx: Transaction,
        who: Principal,
        workspace_id: str,
        *,
        person_id: str | None,
        code: str = "workspace-deleted",
    ) -> None:
        """Want every session of a workspace (of one person) stopped, in the same transaction.

        Their keys end with it, what is open in them is cut, and the pages of somebody who lost access are told:
        nobody waits for the sessions' own end. `code`: see `wire.end_reason`.
        """
        ended = await queries.list_ids_of_workspace(tx.connection, workspace_id, person_id)
        for session_id in ended:
            await self._wishes.want_stopped(tx, session_id, code, who.display_name)
            await self._keys.revoke_session_keys(tx, session_id)
        tx.after_commit(lambda: self._closer.close_workspace(workspace_id, person_id))
        if person_id is not None:
            topics = ("home", f"workspace:{workspace_id}", *(f"session:{session_id}" for session_id in ended))
            # By name: whoever is no member any more does not hear what its members hear.
            tx.after_commit(lambda: self._live.publish(topics, workspace_id=None, person_id=person_id))

    async def usage_of_workspace(self, connection: AsyncConnection, workspace_id: str) -> dict[str, Any]:
        """Return what a workspace's sessions used in all and use now.

        In all: session_hours, cpu_hours, memory_peak (bytes or None), launches, since (first launch or None).
        Now: running, cpu (processors), memory (bytes), kernels, busy_kernels, as last measured and reported.
        """
        ended = await usage_queries.list_launches(connection, workspace_id)
        alive = await usage_queries.list_alive(connection, workspace_id)
        now = self._clock.now()
        spans = [(row["started_at"], row["ended_at"]) for row in ended]
        spans += [(row["started_at"], now) for row in alive if row["started_at"]]
        used = [row["usage"] or {} for row in alive]
        activities = [row["activity"] or {} for row in alive]
        cpu_seconds = [row["cpu_seconds"] for row in ended] + [usage.get("cpu_seconds") for usage in used]
        peaks = [row["memory_peak"] for row in ended] + [usage.get("memory_peak") for usage in used]
        return {
            "session_hours": round(_hours(spans), 4),
            "cpu_hours": round(sum(seconds or 0 for seconds in cpu_seconds) / 3600, 4),
            "memory_peak": max((peak for peak in peaks if peak is not None), default=None),
            "launches": len(spans),
            "since": min((began for began, _ in spans), default=None),
            "running": sum(row["state"] == "running" for row in alive),
            "cpu": round(sum(usage.get("cpu") or 0 for usage in used), 4),
            "memory": sum(usage.get("memory") or 0 for usage in used),
            "kernels": sum(activity.get("kernels", 0) for activity in activities),
            "busy_kernels": sum(activity.get("busy_kernels", 0) for activity in activities),
        }

    async def last_there(self, connection: AsyncConnection, workspace_id: str) -> dict[str, datetime]:
        """Return when each person last had a session in a workspace, by id; now for those who have."""
        found = await usage_queries.list_last_there(connection, self._clock.now(), workspace_id=workspace_id)
        return {person_id: at for (_, person_id), at in found.items()}

    async def executions_of_workspace(
        self, connection: AsyncConnection, workspace_id: str, *, limit: int = 50
    ) -> list[dict[str, Any]]:
        """Return notebooks last run, newest first, as {path, at, session (its name or None)}."""
        return [dict(row) for row in await usage_queries.list_executions(connection, workspace_id, limit)]


def _hours(spans: list[tuple[datetime, datetime]]) -> float:
    return sum(max(0.0, (end - begin).total_seconds()) for begin, end in spans) / 3600
