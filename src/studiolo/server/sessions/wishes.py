"""Write what people want of sessions, with the keys and the record that belong to it; the reconciler makes it so."""

from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.models import SessionState
from studiolo.kit.clock import Clock
from studiolo.kit.db import Transaction
from studiolo.server.accounts.keys import Keys
from studiolo.server.audit.service import Audit
from studiolo.server.moves.queries import check_still
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries, usage_queries
from studiolo.server.sessions.admission import Amounts
from studiolo.server.sessions.changes import Changes
from studiolo.server.sessions.reconciler import SessionReconciler
from studiolo.server.sessions.secrets import SessionSecrets

# What belongs to one launch and is unknown again when the next one is wanted.
_FRESH = dict.fromkeys(
    (
        "stop_reason",
        "started_at",
        "placed_at",
        "ready_at",
        "ended_at",
        "ends_at",
        "progress",
        "reason",
        "upstream",
        "usage",
        "deaths",
        "idle_since",
        "idle_stop_at",
        "snoozed_until",
    )
)


class Wishes:
    """All changes of `desired` and `launch`. Each is part of its caller's transaction."""

    def __init__(
        self,
        clock: Clock,
        keys: Keys,
        audit: Audit,
        changes: Changes,
        session_secrets: SessionSecrets,
        reconciler: SessionReconciler,
    ) -> None:
        self._clock = clock
        self._keys = keys
        self._audit = audit
        self._changes = changes
        self._secrets = session_secrets
        self._reconciler = reconciler

    async def want_new(self, tx: Transaction, who: Principal, session: dict[str, Any]) -> None:
        """Add a session that is to run; `session` holds id, workspace, name, engine, what it asks and may use."""
        await check_still(tx.connection, session["workspace_id"])
        now, session_id = self._clock.now(), session["id"]
        values = session | {
            "person_id": who.person_id,
            "desired": "running",
            "launch": 1,
            "requested_at": now,
            "state": SessionState.STARTING.value,
            "created_at": now,
            "lease_owner": self._reconciler.owner,
            "lease_epoch": 1,
        }
        await queries.insert_session(tx.connection, values)
        await self._admit_key(tx, session_id, 1, who.person_id, session["workspace_id"])
        await self.record(tx, who, "session.launch", session_id, session["name"], session["workspace_id"])
        tx.after_commit(lambda: self._reconciler.adopt(session_id))
        tx.after_commit(lambda: self._reconciler.expect(session_id, session["engine"]))
        tx.after_commit(lambda: self._reconciler.runner.hint(session_id))

    async def want_again(
        self, tx: Transaction, who: Principal, row: RowMapping, action: str, *, engine: str, allowed: Amounts
    ) -> None:
        """Want a new launch of a session, on `engine`; one that runs ends first, where it runs."""
        await check_still(tx.connection, row["workspace_id"])
        launch, now = row["launch"] + 1, self._clock.now()
        if row["handle_launch"] == row["launch"]:
            await usage_queries.insert_launch(tx.connection, row, ended_at=now, memory_peak=None, reason="replaced")
        values = _FRESH | {
            "desired": "running",
            "launch": launch,
            "requested_at": now,
            "state": SessionState.STARTING.value,
            "engine": engine,
            "handle_engine": row["handle_engine"] or row["engine"],
            "allowed": allowed,
        }
        await queries.update_intent(tx.connection, row["id"], **values)
        await self._admit_key(tx, row["id"], launch, row["person_id"], row["workspace_id"])
        await self.record(tx, who, action, row["id"], row["name"], row["workspace_id"])
        if row["handle_launch"] is None:
            tx.after_commit(lambda: self._reconciler.expect(row["id"], engine))
        tx.after_commit(lambda: self.hint(row["id"]))

    async def want_stopped(self, tx: Transaction, session_id: str, code: str, by: str) -> None:
        """Want a session stopped; `code` and `by` become its reason (see `wire.end_reason`)."""
        values = {"desired": "stopped", "stop_reason": {"code": code, "by": by}, "idle_stop_at": None}
        await queries.update_intent(tx.connection, session_id, **values)
        tx.after_commit(lambda: self.hint(session_id))

    async def record(
        self, tx: Transaction, who: Principal, action: str, session_id: str, name: str, workspace_id: str, **detail: Any
    ) -> None:
        """Add the audit event of a change and have the pages concerned read again."""
        topics = ("home", f"session:{session_id}", f"workspace:{workspace_id}")
        await self._audit.record(
            tx, who, action, name, workspace_id=workspace_id, topics=topics, session=session_id, **detail
        )

    def hint(self, session_id: str) -> None:
        """Wake those who wait for the session, and the reconciler."""
        self._changes.announce(session_id)
        self._reconciler.runner.hint(session_id)

    async def _admit_key(
        self, tx: Transaction, session_id: str, launch: int, person_id: str, workspace_id: str
    ) -> None:
        await self._keys.add_session_key(
            tx,
            self._secrets.api_key(session_id, launch),
            person_id=person_id,
            session_id=session_id,
            workspace_id=workspace_id,
        )
