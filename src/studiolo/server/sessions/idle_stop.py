"""Stop sessions that nobody uses, after a warning, unless somebody wants them kept."""

from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import RowMapping

from studiolo.contract.errors import Conflict
from studiolo.contract.models import Session, SessionState, Snooze
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.repeat import repeat
from studiolo.server.live import Live
from studiolo.server.principal import PLATFORM, Principal
from studiolo.server.sessions import queries
from studiolo.server.sessions.idleness import Memory, Seen, Verdict, decide_idle
from studiolo.server.sessions.lookup import SessionLookup
from studiolo.server.sessions.reports import Reports
from studiolo.server.sessions.view import SessionView
from studiolo.server.sessions.wishes import Wishes
from studiolo.server.settings.sessions import SessionSettings

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 15.0
# Shown times that differ by less are not written anew at each look.
_TOLERANCE = timedelta(seconds=5)
_WORTH_SHOWING = timedelta(minutes=1)


class IdleStop:
    """Looks at all running sessions; remembers them in memory only, so that a new process counts from anew.

    `kernels_stop`: after how long a place for kernels alone stops that has none; nobody needs to be warned of that.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        live: Live,
        lookup: SessionLookup,
        view: SessionView,
        wishes: Wishes,
        reports: Reports,
        settings: SessionSettings,
        *,
        kernels_stop: timedelta,
    ) -> None:
        self._db = db
        self._clock = clock
        self._live = live
        self._lookup = lookup
        self._view = view
        self._wishes = wishes
        self._reports = reports
        self._settings = settings
        self._kernels_stop = kernels_stop
        self._memories: dict[str, Memory] = {}

    async def look_forever(self) -> None:
        """Look every quarter of a minute."""
        await repeat(self.look, every_seconds=_EVERY_SECONDS, failed="idle-look-failed")

    async def look(self) -> list[str]:
        """Look once at all running sessions, write what changed and stop what is due; returns ids stopped."""
        async with self._db.read() as connection:
            rows = await queries.list_activity(connection)
        verdicts = {row["id"]: self._decide(row) for row in rows}
        self._memories = {session_id: verdict.memory for session_id, verdict in verdicts.items()}
        changed = [row for row in rows if _differs(row, self._shown(verdicts[row["id"]]))]
        if changed:
            async with self._db.write() as tx:
                shown = [self._shown(verdicts[row["id"]]) | _which(row) for row in changed]
                await queries.set_idleness(tx.connection, shown)
                for row in changed:
                    tx.after_commit(lambda row=row: self._tell(row))  # type: ignore[misc]
        due = [row["id"] for row in rows if verdicts[row["id"]].must_stop]
        return [session_id for session_id in due if await self._stop(session_id)]

    async def snooze(self, who: Principal, reference: str, form: Snooze) -> Session:
        """Keep a running session for so many minutes more; raises Conflict (`session-not-running`)."""
        async with self._db.write() as tx:
            row = await self._lookup.resolve(tx.connection, who, reference, "session.snooze")
            if row["desired"] != "running" or row["state"] not in (SessionState.RUNNING, SessionState.UNKNOWN):
                raise Conflict(
                    "session-not-running", f"{row['name']!r} does not run.", hint=f"studiolo start {row['id']}"
                )
            until = self._clock.now() + timedelta(minutes=form.minutes)
            await queries.update_intent(tx.connection, row["id"], snoozed_until=until, idle_stop_at=None)
            await self._wishes.record(
                tx,
                who,
                "session.snooze",
                row["id"],
                row["name"],
                row["workspace_id"],
                time=describe_time(timedelta(minutes=form.minutes)),
            )
            return await self._view.read(tx.connection, row["id"])

    async def _stop(self, session_id: str) -> bool:
        async with self._db.write() as tx:
            row = await queries.find_activity(tx.connection, session_id)
            # Decided again: it may have been used, kept or stopped since the look.
            if row is None or not (verdict := self._decide(row)).must_stop:
                return False
            idle = describe_time(verdict.idle_for)
            await self._wishes.want_stopped(tx, session_id, "idle", idle)
            await self._wishes.record(
                tx, PLATFORM, "session.idle-stop", session_id, row["name"], row["workspace_id"], idle=idle
            )
        return True

    def _decide(self, row: RowMapping) -> Verdict:
        has_people = row["kind"] == queries.SESSION
        told_at = self._reports.kernels_at if has_people else self._reports.heard_at
        return decide_idle(
            self._memories.get(row["id"]),
            _seen(row, told_at(f"{row['id']}.{row['launch']}"), self._clock.now()),
            self._clock.running(),
            idle_stop=self._settings.idle_stop if has_people else self._kernels_stop,
            warning=self._settings.idle_warning if has_people else timedelta(0),
        )

    def _shown(self, verdict: Verdict) -> dict[str, datetime | None]:
        now = self._clock.now()
        return {
            "idle_since": now - verdict.idle_for if verdict.idle_for >= _WORTH_SHOWING else None,
            "idle_stop_at": None if verdict.stops_in is None else now + verdict.stops_in,
        }

    def _tell(self, row: RowMapping) -> None:
        self._live.publish(("home", f"session:{row['id']}"), workspace_id=row["workspace_id"])


def describe_time(time: timedelta) -> str:
    """Return a time as people say it: `2 h`, `90 min`, `45 s`."""
    seconds = round(time.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" if minutes % 60 == 0 or minutes > 24 * 60 else f"{minutes} min"


def _seen(row: RowMapping, kernels_at: datetime | None, now: datetime) -> Seen:
    activity, until = row["activity"] or {}, row["snoozed_until"]
    own_at = (activity.get("own") or {}).get("reported_at")
    mark, is_busy = None, bool(activity.get("busy_kernels") or activity.get("busy_terminals"))
    if row["kind"] == queries.KERNELS:
        # Nobody but the kernels' host reports, and a kernel that lives keeps its place.
        mark, is_busy = kernels_at.isoformat() if kernels_at else None, bool(activity.get("kernels"))
    elif own_at is not None and kernels_at is not None:
        # Nothing is concluded while either of those who report is not heard.
        mark = min(datetime.fromisoformat(own_at), kernels_at).isoformat()
    return Seen(
        launch=row["launch"],
        mark=mark,
        is_busy=is_busy,
        last_active=activity.get("last_active_at"),
        keep=max(timedelta(0), until - now) if until else timedelta(0),
        keep_mark=until.isoformat() if until else None,
    )


def _which(row: RowMapping) -> dict[str, Any]:
    return {"of_session": row["id"], "of_launch": row["launch"]}


def _differs(row: RowMapping, shown: dict[str, datetime | None]) -> bool:
    for name, value in shown.items():
        before = row[name]
        if (value is None) != (before is None) or (value and before and abs(value - before) > _TOLERANCE):
            return True
    return False
