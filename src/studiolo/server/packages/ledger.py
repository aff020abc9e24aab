"""The ledger: what the index delivered, and what it refused, each entry once, with its audit event."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts.tables import people
from studiolo.server.audit.service import Audit
from studiolo.server.audit.tables import audit_events
from studiolo.server.packages.tables import package_deliveries
from studiolo.server.principal import PLATFORM, Principal
from studiolo.server.workspaces.tables import workspaces

DOWNLOAD, BLOCKED = "package.download", "package.blocked"
_DELIVERED = ("channel", "name", "version", "file", "sha256", "fingerprint", "cause", "ecosystem")


class Ledger:
    """Writes what the index host tells, see `studiolo.packages.index.reporting`."""

    def __init__(self, db: Database, audit: Audit) -> None:
        self._db = db
        self._audit = audit

    async def write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Write a batch; what was written before has no second effect. Raises KeyError, TypeError, ValueError."""
        async with self._db.write() as tx:
            there = await _there(tx, {entry["workspace"] for entry in entries})
            whom = await _whom(tx, {entry["person"] for entry in entries})
            known = await _written(tx, entries)
            for entry in entries:
                # A workspace that was deleted meanwhile took its ledger along.
                if entry["id"] in known or entry["workspace"] not in there:
                    continue
                who = whom.get(entry["person"], PLATFORM)
                known.add(entry["id"])
                if entry["kind"] == "delivery":
                    await self._deliver(tx, who, entry)
                else:
                    await self._refuse(tx, who, entry)

    async def _deliver(self, tx: Transaction, who: Principal, entry: Mapping[str, Any]) -> None:
        values = {name: entry[name] for name in _DELIVERED}
        row = values | {
            "id": entry["id"],
            "workspace_id": entry["workspace"],
            "session_id": entry["session"] or None,
            "person_id": who.person_id or None,
            "policy_hash": entry["policy"],
            "at": datetime.fromisoformat(entry["at"]),
        }
        await tx.connection.execute(insert(package_deliveries).values(row))
        told = {name: entry[name] for name in ("ecosystem", "channel", "version", "file", "sha256", "cause")}
        await self._record(tx, who, DOWNLOAD, entry, **told)

    async def _refuse(self, tx: Transaction, who: Principal, entry: Mapping[str, Any]) -> None:
        told = {name: entry[name] for name in ("ecosystem", "version", "file", "code", "rule", "because", "cause")}
        await self._record(tx, who, BLOCKED, entry, entry=entry["id"], enforced=bool(entry["enforced"]), **told)

    async def _record(
        self, tx: Transaction, who: Principal, action: str, told: Mapping[str, Any], **detail: Any
    ) -> None:
        workspace_id = str(told["workspace"])
        await self._audit.record(
            tx,
            who,
            action,
            str(told["name"]),
            workspace_id=workspace_id,
            topics=(f"workspace:{workspace_id}",),
            session=told["session"] or None,
            policy=told["policy"],
            **detail,
        )


async def _written(tx: Transaction, entries: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the ids of those entries that were written before."""
    delivered = {entry["id"] for entry in entries if entry["kind"] == "delivery"}
    query = select(package_deliveries.c.id).where(package_deliveries.c.id.in_(delivered))
    found = set((await tx.connection.execute(query)).scalars())
    refused = [entry for entry in entries if entry["kind"] == "refusal"]
    if refused:
        of_refusal = audit_events.c.detail["entry"].as_string()
        told = select(of_refusal).where(
            of_refusal.in_({entry["id"] for entry in refused}),
            audit_events.c.action == BLOCKED,
            audit_events.c.workspace_id.in_({entry["workspace"] for entry in refused}),
        )
        found |= set((await tx.connection.execute(told)).scalars())
    return found


async def _there(tx: Transaction, ids: set[str]) -> set[str]:
    query = select(workspaces.c.id).where(workspaces.c.id.in_(ids))
    return set((await tx.connection.execute(query)).scalars())


async def _whom(tx: Transaction, ids: set[str]) -> dict[str, Principal]:
    """Return the people who are there, by id, as the actors of events."""
    query = select(people.c.id, people.c.name, people.c.display_name).where(people.c.id.in_(ids))
    rows = await tx.connection.execute(query)
    return {row.id: Principal(row.id, row.name, row.display_name, is_admin=False, via="key") for row in rows}
