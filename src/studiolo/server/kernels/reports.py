"""What the host tells of kernels: that one runs, that one ended, how all of them are."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping

from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts.keys import Keys
from studiolo.server.audit.service import Audit
from studiolo.server.kernels import queries
from studiolo.server.kernels.grounds import Ground
from studiolo.server.kernels.secrets import KernelSecrets
from studiolo.server.kernels.wire import end_reason
from studiolo.server.live import Live
from studiolo.server.principal import PLATFORM
from studiolo.server.sessions import queries as session_queries
from studiolo.server.sessions.reports import Reports

# Ends that were concluded since the host did not know the kernel: should it find it again, it has not ended.
CONCLUDED = "vanished"
_STATES = frozenset({"starting", "idle", "busy", "restarting", "dead", "unknown"})
_LONGEST_PATH = 1024
# What the columns hold.
_MOST_CONNECTIONS = 2**31 - 1
_MOST_OUTPUT = 2**63 - 1


class HostReports:
    """Writes what was told, of sessions' kernels also into what is known of the sessions."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        keys: Keys,
        audit: Audit,
        live: Live,
        ground: Ground,
        kernel_secrets: KernelSecrets,
        sessions: Reports,
    ) -> None:
        self._db = db
        self._clock = clock
        self._keys = keys
        self._audit = audit
        self._live = live
        self._ground = ground
        self._secrets = kernel_secrets
        self._sessions = sessions

    async def started(self, kernel_id: str, *, ok: bool, message: str) -> None:
        """Note that a reserved kernel runs, or that it did not start."""
        now = self._clock.now()
        if not ok:
            await self.end(kernel_id, "not-started", message or "It did not start.", now)
            return
        async with self._db.write(durable=False) as tx:
            row = await queries.find(tx.connection, kernel_id)
            if row is not None and row["started_at"] is None:
                await queries.update_kernel(tx.connection, kernel_id, started_at=now)
                self._tell(tx, row)

    async def end(self, kernel_id: str, code: str, message: str, at: datetime) -> None:
        """Note how a kernel ended; told twice, the first counts. Its key ends with it."""
        async with self._db.write() as tx:
            row = await queries.find(tx.connection, kernel_id)
            if row is None:
                return
            reason = end_reason(row["stop_reason"], code, message, at)
            if not await queries.end(tx.connection, kernel_id, at, reason):
                return
            await self._keys.revoke_kernel_keys(tx, [kernel_id])
            if row["session_id"] is None or row["session_kind"] == session_queries.KERNELS:
                await self._audit.record(
                    tx,
                    PLATFORM,
                    "kernel.ended",
                    row["display_name"],
                    workspace_id=row["workspace_id"],
                    kernel=kernel_id,
                    reason=reason["code"],
                )
            self._tell(tx, row)
        self._secrets.remove_key(self._ground.key_file(kernel_id))

    async def report(self, kernels: Iterable[Mapping[str, Any]], *, launch: str | None = None) -> list[str]:
        """Take a report of all kernels that run here, or in a `launch` elsewhere; return ids of those nobody wants.

        Each is {id, scope, state, connections, last_active_at, path, output}; members that make no sense are skipped.
        """
        told = [seen for kernel in kernels if (seen := _read(kernel)) is not None]
        async with self._db.read() as connection:
            rows = await queries.list_by_ids(connection, [kernel["id"] for kernel in told])
            launches = await session_queries.list_launches_alive(connection)
        unwanted = [kernel["id"] for kernel in told if not _is_wanted(rows.get(kernel["id"]), launches)]
        changed = [
            (row, kernel)
            for kernel in told
            if kernel["id"] not in unwanted and (row := rows[kernel["id"]]) is not None and _differs(row, kernel)
        ]
        if changed:
            async with self._db.write(durable=False) as tx:
                for row, kernel in changed:
                    values = {name: value for name, value in kernel.items() if name not in ("id", "scope")}
                    # A host that lost sight of it has found it again.
                    again = {"ended_at": None, "reason": None} if row["ended_at"] else {}
                    await queries.update_kernel(tx.connection, row["id"], **values, **again)
                    self._tell(tx, row)
        await self._sessions.take_kernels(told, launch=launch, alive=launches)
        return unwanted

    def _tell(self, tx: Transaction, row: RowMapping) -> None:
        topics = ("kernels", f"kernel:{row['id']}", f"workspace:{row['workspace_id']}")
        tx.after_commit(lambda: self._live.publish(topics, workspace_id=row["workspace_id"]))


def _is_wanted(row: RowMapping | None, launches: set[str]) -> bool:
    if row is None or row["stop_reason"] is not None:
        return False
    if row["ended_at"] is not None and (row["reason"] or {}).get("code") != CONCLUDED:
        return False
    return row["session_id"] is None or row["scope"] in launches


def _differs(row: RowMapping, kernel: Mapping[str, Any]) -> bool:
    return row["ended_at"] is not None or any(row[name] != kernel[name] for name in kernel if name != "scope")


def _read(kernel: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        at, path = kernel.get("last_active_at"), kernel.get("path")
        state = str(kernel["state"])
        return {
            "id": str(kernel["id"]),
            "scope": str(kernel["scope"]),
            "state": state if state in _STATES else "unknown",
            "connections": _count(kernel.get("connections"), _MOST_CONNECTIONS),
            "last_active_at": datetime.fromisoformat(at).astimezone(UTC) if at else None,
            "path": str(path)[:_LONGEST_PATH] if path else None,
            "output": _count(kernel.get("output"), _MOST_OUTPUT),
        }
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _count(told: Any, most: int) -> int:
    return max(0, min(int(told or 0), most))
