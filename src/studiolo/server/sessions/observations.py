"""Write down what was seen of sessions, guarded by a lease: a process that lost it changes nothing."""

import secrets
from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.models import Reason, SessionState
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts.keys import Keys
from studiolo.server.audit.service import Audit
from studiolo.server.live import Live
from studiolo.server.principal import PLATFORM
from studiolo.server.sessions import queries, usage_queries
from studiolo.server.sessions.changes import Changes

_COUNTS = ("kernels", "busy_kernels", "terminals", "busy_terminals", "connections")


class Observations:
    """The writes of the reconciler. An end is written with all that belongs to it: keys, audit, what was used."""

    def __init__(self, db: Database, clock: Clock, keys: Keys, audit: Audit, live: Live, changes: Changes) -> None:
        self._db = db
        self._clock = clock
        self._keys = keys
        self._audit = audit
        self._live = live
        self._changes = changes
        self.owner = secrets.token_hex(8)
        self._epochs: dict[str, int] = {}

    def adopt(self, session_id: str) -> None:
        """Called when a session was inserted with our lease, so that its first step need not claim it."""
        self._epochs[session_id] = 1

    async def write(self, row: RowMapping, *, state: SessionState, of_any_launch: bool = False, **values: Any) -> bool:
        """Write what was seen; False if the lease or (unless `of_any_launch`) the launch is another by now.

        After a power cut it is seen anew: the launch's number finds what was started.
        """
        async with self._db.write(durable=False) as tx:
            return await self._write(tx, row, state, None if of_any_launch else row["launch"], values)

    async def write_end(
        self, row: RowMapping, *, state: SessionState, reason: Reason, memory_peak: int | None = None
    ) -> bool:
        """Write that the session ended, and why."""
        values: dict[str, Any] = {
            "desired": "stopped",
            "handle": None,
            "handle_launch": None,
            "upstream": None,
            "progress": None,
            "ends_at": None,
            "ended_at": reason.at,
            "activity": _at_rest(row["activity"]),
            "idle_since": None,
            "idle_stop_at": None,
            "reason": reason.model_dump(mode="json"),
        }
        async with self._db.write() as tx:
            written = await self._write(tx, row, state, row["launch"], values)
            if written:
                await usage_queries.insert_launch(
                    tx.connection, row, ended_at=reason.at, memory_peak=memory_peak, reason=reason.code
                )
                await self._keys.revoke_session_keys(tx, row["id"])
                await self._audit.record(
                    tx,
                    PLATFORM,
                    "session.ended",
                    row["name"],
                    workspace_id=row["workspace_id"],
                    session=row["id"],
                    reason=reason.code,
                )
        return written

    async def _write(
        self, tx: Transaction, row: RowMapping, state: SessionState, launch: int | None, values: dict[str, Any]
    ) -> bool:
        epoch = self._epochs.get(row["id"])
        if epoch is None:
            epoch = await queries.claim(tx.connection, row["id"], self.owner)
        written = await queries.update_seen(
            tx.connection, row["id"], self.owner, epoch, launch, state=state.value, **values
        )
        tx.after_commit(lambda: self._announce(row, epoch))
        return written

    def _announce(self, row: RowMapping, epoch: int) -> None:
        self._epochs[row["id"]] = epoch
        self._changes.announce(row["id"])
        topics = ("home", f"session:{row['id']}", f"workspace:{row['workspace_id']}")
        self._live.publish(topics, workspace_id=row["workspace_id"])


def _at_rest(activity: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is left of a session's activity when it has ended: where its person was."""
    if not activity or not activity.get("notebook"):
        return None
    kept = {name: value for name, value in activity.items() if name not in ("own", "host")}
    return kept | dict.fromkeys(_COUNTS, 0)
