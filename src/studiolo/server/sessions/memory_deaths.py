"""Tell people what of their sessions ran out of memory while the session went on."""

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.resources import MemoryDeath
from studiolo.contract.sizes import describe_size
from studiolo.engines.base import Death
from studiolo.kit.db import Database
from studiolo.server.audit.service import Audit
from studiolo.server.principal import PLATFORM
from studiolo.server.sessions import usage_queries
from studiolo.server.sessions.changes import Changes
from studiolo.server.sessions.wire import more_memory

_KEPT = 20
# JupyterLab starts a kernel under a made-up path in the notebook's folder, and tells the notebook's own afterwards.
_MADE_UP = re.compile(r"(.*/)?[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_WHAT = {
    "kernel": "A kernel",
    "terminal": "A terminal",
    "server": "The session's server",
    "processes": "Programs of the session",
}
_LOSS = {
    "kernel": "Its variables are gone; saved files are safe.",
    "terminal": "What ran in it was ended; files are safe.",
    "server": "It was started again; what it had started itself was ended, and saved files are safe.",
    "processes": "Some were ended; saved files are safe.",
}


class MemoryDeaths:
    """Records each death once, however often and by whomever it is seen."""

    def __init__(self, db: Database, audit: Audit, changes: Changes) -> None:
        self._db = db
        self._audit = audit
        self._changes = changes

    async def note(self, row: RowMapping, workspace: str, deaths: Iterable[Death]) -> None:
        """Record those not known yet, with an audit event each, and have the pages concerned read again.

        `row`: the session as it was when it was measured; `deaths`: all of its present launch, as the engine
        tells them. A name that became known later is added to its death.
        """
        seen = [_entry(death, workspace) for death in deaths]
        if not _news(row["deaths"] or [], seen):
            return
        async with self._db.write() as tx:
            known = await usage_queries.find_deaths(tx.connection, row["id"], row["launch"])
            if known is None or not _news(known, seen):
                return
            entries = {_key(entry): entry for entry in [*known, *seen]}
            newest = sorted(entries.values(), key=lambda entry: str(entry["at"]), reverse=True)[:_KEPT]
            await usage_queries.set_deaths(tx.connection, row["id"], row["launch"], newest)
            old = {_key(entry) for entry in known}
            topics = ("home", f"session:{row['id']}", f"workspace:{row['workspace_id']}")
            for entry in (entry for entry in seen if _key(entry) not in old):
                await self._audit.record(
                    tx,
                    PLATFORM,
                    "session.out-of-memory",
                    row["name"],
                    workspace_id=row["workspace_id"],
                    topics=topics,
                    session=row["id"],
                    what=entry["what"],
                    name=entry["name"],
                    peak=entry["peak"],
                    limit=entry["limit"],
                )
            tx.after_commit(lambda: self._changes.announce(row["id"]))


def describe_death(what: str, name: str | None, peak: int | None, limit: int | None, workspace: str) -> str:
    """Return all of it as sentences: what ran out, how much there was, what is lost, what to do."""
    subject = f"{_WHAT[what]} ({name})" if name else _WHAT[what]
    if peak is not None and limit is not None:
        amount = f"the session used {describe_size(peak)} of {describe_size(limit)}"
    elif limit is not None:
        amount = f"the session may use {describe_size(limit)}"
    else:
        amount = "the machine had none left"
    return f"{subject} ran out of memory: {amount}. {_LOSS[what]} {more_memory(workspace, limit)}"


def _entry(death: Death, workspace: str) -> dict[str, Any]:
    what = death.what if death.what in _WHAT else "processes"
    name = None if death.name and _MADE_UP.fullmatch(death.name) else death.name
    told = MemoryDeath.model_validate(
        {
            "at": death.at,
            "what": what,
            "name": name,
            "peak": death.peak,
            "limit": death.limit,
            "message": describe_death(what, name, death.peak, death.limit, workspace),
        }
    )
    return told.model_dump(mode="json") | {"pid": death.pid}


def _key(entry: dict[str, Any]) -> tuple[Any, ...]:
    return entry["at"], entry.get("pid")


def _news(known: list[dict[str, Any]], seen: list[dict[str, Any]]) -> bool:
    messages = {_key(entry): entry["message"] for entry in known}
    # Of a flood only the newest are kept; older ones are no news again.
    oldest = min(messages, default=None) if len(known) >= _KEPT else None
    fresh = [entry for entry in seen if oldest is None or _key(entry)[0] >= oldest[0]]
    return any(messages.get(_key(entry)) != entry["message"] for entry in fresh)
