"""Take what a session's own extension tells: its activity, and the notebook that was run."""

from studiolo.contract.models import Activity
from studiolo.kit.db import Database
from studiolo.server.live import Live
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries, usage_queries
from studiolo.server.sessions.lookup import not_found

_LONGEST_PATH = 1024


class Reports:
    """Only a session's own key may report for it."""

    def __init__(self, db: Database, live: Live) -> None:
        self._db = db
        self._live = live

    async def report(self, who: Principal, session_id: str, activity: Activity) -> None:
        """Store a report; raises NotFound for everybody but the session."""
        if who.session_id != session_id or who.workspace_id is None:
            raise not_found(session_id)
        workspace_id, path, at = who.workspace_id, activity.notebook, activity.last_active_at
        async with self._db.write() as tx:
            row = await queries.find(tx.connection, session_id)
            known = (row["activity"] if row else None) or {}
            now = activity.model_dump(mode="json")
            await queries.update_intent(tx.connection, session_id, activity=now)
            was_run = (known.get("notebook"), known.get("last_active_at")) != (path, now["last_active_at"])
            if path and at and was_run and len(path) <= _LONGEST_PATH:
                # No session's clock makes its notebooks the newest for ever.
                at = min(at, activity.reported_at)
                await usage_queries.note_execution(tx.connection, workspace_id, path, at, session_id)
            topics = ("home", f"session:{session_id}")
            tx.after_commit(lambda: self._live.publish(topics, workspace_id=workspace_id, person_id=who.person_id))
