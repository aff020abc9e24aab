"""What people see of the platform inside JupyterLab: notices that matter, who else has a file open, ways out.

Who has what open is known to this process only, for as long as it is told again: after a restart the next round of
questions, seconds later, brings it back.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import RowMapping

from studiolo.contract.lab import Here, HereNow, Notice, NoticeAction
from studiolo.contract.models import PersonRef, Snooze
from studiolo.contract.sizes import used_of
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries
from studiolo.server.sessions.idle_stop import IdleStop
from studiolo.server.sessions.lookup import not_found
from studiolo.server.sessions.service import Sessions
from studiolo.server.sessions.wire import limits_of

Source = Callable[[RowMapping], Awaitable[list[Notice]]]
# A session tells what is open each quarter of a minute; one that missed two is gone.
_PRESENT = timedelta(seconds=40)
_NEARLY_FULL = 0.9
_END_WARNING = timedelta(minutes=10)
_DEATH_SHOWN = timedelta(minutes=10)
_SNOOZE_MINUTES = 240
# A session's own key reads; what its person asks for through it is these two things, for this session alone.
_OF_ITS_PERSON = frozenset({"sessions:read", "sessions:write"})


@dataclass(frozen=True, slots=True)
class _Present:
    person: PersonRef
    paths: frozenset[str]
    until: timedelta


class Lab:
    """Answers the question that each open JupyterLab asks. `sources` may add notices of other domains."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        sessions: Sessions,
        idle_stop: IdleStop,
        *,
        address: str,
        idle_warning: timedelta,
    ) -> None:
        self._db = db
        self._clock = clock
        self._sessions = sessions
        self._idle_stop = idle_stop
        self._address = address
        self._idle_warning = idle_warning
        self._present: dict[str, dict[str, _Present]] = {}
        self._pruned_at = timedelta(0)
        self.sources: list[Source] = []

    async def tell(self, who: Principal, session_id: str, here: Here) -> HereNow:
        """Take what is open and do what is asked; raises NotFound for everybody but the session itself."""
        if who.session_id != session_id or who.workspace_id is None:
            raise not_found(session_id)
        if here.do is not None:
            await self._do(replace(who, scopes=_OF_ITS_PERSON), session_id, here.do)
        async with self._db.read() as connection:
            row = await queries.find(connection, session_id)
        if row is None:
            raise not_found(session_id)
        self._note(row, frozenset(here.open))
        return HereNow(
            notices=[*_of_session(row, self._clock.now(), self._idle_warning), *await self._of_others(row)],
            others=self._others(row, here.open),
            links=_links(self._address, row),
        )

    async def _do(self, who: Principal, session_id: str, deed: str) -> None:
        if deed == "keep-running":
            await self._idle_stop.snooze(who, session_id, Snooze(minutes=_SNOOZE_MINUTES))
        else:
            await self._sessions.stop(who, session_id)

    async def _of_others(self, row: RowMapping) -> list[Notice]:
        return [notice for source in self.sources for notice in await source(row)]

    def _note(self, row: RowMapping, paths: frozenset[str]) -> None:
        now = self._clock.running()
        if now - self._pruned_at > _PRESENT:
            self._prune(now)
        person = PersonRef(id=row["person_id"], name=row["person_name"], display_name=row["person_display_name"])
        self._present.setdefault(row["workspace_id"], {})[row["id"]] = _Present(person, paths, now + _PRESENT)

    def _prune(self, now: timedelta) -> None:
        self._pruned_at = now
        for workspace_id, sessions in list(self._present.items()):
            kept = {session_id: one for session_id, one in sessions.items() if one.until > now}
            if kept:
                self._present[workspace_id] = kept
            else:
                del self._present[workspace_id]

    def _others(self, row: RowMapping, paths: list[str]) -> dict[str, list[PersonRef]]:
        now = self._clock.running()
        rest = [
            one
            for session_id, one in self._present.get(row["workspace_id"], {}).items()
            if session_id != row["id"] and one.until > now
        ]
        found = {path: [one.person for one in rest if path in one.paths] for path in paths} if rest else {}
        return {path: people for path, people in found.items() if people}


def _of_session(row: RowMapping, now: datetime, idle_warning: timedelta) -> list[Notice]:
    """Return what is to be said of a session's own state."""
    notices = []
    stops_at, used, most = row["idle_stop_at"], (row["usage"] or {}).get("memory"), limits_of(row).memory
    if stops_at is not None and stops_at - now <= idle_warning:
        keep = NoticeAction(word="Keep running", do="keep-running")
        text = "Nobody has used this session for a while. It stops at {until}; files and output stay."
        notices.append(Notice(id="idle", level="warning", text=text, until=stops_at, actions=[keep]))
    if used and most and used >= _NEARLY_FULL * most:
        text = f"Memory is nearly full: {used_of(used, most)}. Kernels you no longer need free it."
        notices.append(Notice(id="memory", level="warning", text=text))
    if row["ends_at"] is not None and row["ends_at"] - now <= _END_WARNING:
        text = "The time limit of this session ends it at {until}. Files stay; kernels and their variables go."
        notices.append(Notice(id="time-limit", level="warning", text=text, until=row["ends_at"]))
    for death in (row["deaths"] or [])[:1]:
        if now - datetime.fromisoformat(death["at"]) <= _DEATH_SHOWN:
            notices.append(Notice(id=f"death {death['at']}", level="danger", text=death["message"]))
    return notices


def _links(address: str, row: RowMapping) -> dict[str, str]:
    workspace = f"{address}/w/{row['workspace_id']}"
    return {
        "workspace": workspace,
        "people": f"{workspace}/people",
        "environment": f"{workspace}/environment",
        "session": f"{address}/sessions/{row['id']}",
        "tree": f"{address}/w/{row['owner_name']}/{row['workspace_name']}/lab/tree/",
        "history": f"{workspace}/history",
    }
