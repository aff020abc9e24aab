"""Write the one record of each mutation, inside its transaction; read the record."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Text, cast, insert, or_, select, update

from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import AuditEvent, Page, PersonRef
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import cursor_invalid
from studiolo.kit.db import Database, Transaction
from studiolo.server.audit.tables import audit_events
from studiolo.server.live import Live
from studiolo.server.principal import Principal

# Members of an event's detail that name a person.
_WHO = frozenset({"by", "person", "to"})


class Audit:
    """The record of changes. What happened is told to live pages once it is durable."""

    def __init__(self, db: Database, clock: Clock, live: Live) -> None:
        self._db = db
        self._clock = clock
        self.live = live
        # Told each action once its event is durable.
        self.on_recorded: Callable[[str], None] = lambda action: None

    async def record(
        self,
        tx: Transaction,
        who: Principal,
        action: str,
        target: str,
        *,
        workspace_id: str | None = None,
        topics: tuple[str, ...] = (),
        **detail: Any,
    ) -> None:
        """Add the event of one mutation to its transaction; if this fails, the mutation fails.

        `detail`: JSON values, never a secret. `topics`: what live pages should read again.
        """
        await tx.connection.execute(
            insert(audit_events).values(
                id=new_id(IdKind.AUDIT),
                at=self._clock.now(),
                actor_id=who.person_id or None,
                actor_name=who.name,
                via=who.via,
                action=action,
                target=target[:200],
                workspace_id=workspace_id,
                detail=detail,
            )
        )
        tx.after_commit(lambda: self.on_recorded(action))
        tx.after_commit(lambda: self.live.publish(topics, workspace_id=workspace_id, person_id=who.person_id))

    async def forget_person(self, tx: Transaction, person_id: str, names: set[str], pseudonym: str) -> None:
        """Have the record name a person by a pseudonym, wherever it says who they are (promise S15).

        `names`: name and e-mail address. Events, their order and what was done stay; no event is added or removed.
        """
        table = audit_events
        acted = update(table).where(table.c.actor_id == person_id).values(actor_name=pseudonym)
        await tx.connection.execute(acted)
        of_people = or_(*(table.c.action.startswith(f"{kind}.") for kind in ("account", "invitation", "person")))
        meant = update(table).where(of_people, table.c.target.in_(names)).values(target=pseudonym)
        await tx.connection.execute(meant)
        told = or_(*(cast(table.c.detail, Text).contains(json.dumps(name), autoescape=True) for name in names))
        for row in (await tx.connection.execute(select(table.c.sequence, table.c.detail).where(told))).all():
            detail = {
                key: pseudonym if key in _WHO and isinstance(value, str) and value in names else value
                for key, value in row.detail.items()
            }
            await tx.connection.execute(update(table).where(table.c.sequence == row.sequence).values(detail=detail))

    async def list_(
        self,
        who: Principal,
        *,
        workspace_id: str | None = None,
        action: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[AuditEvent]:
        """Return events, newest first: all for administrators, or those of one workspace; of one action alone.

        For a workspace the caller has been authorised by `Workspaces.activity`.
        """
        if workspace_id is None:
            who.require("audit.list")
        query = select(audit_events).order_by(audit_events.c.sequence.desc()).limit(limit + 1)
        if workspace_id is not None:
            query = query.where(audit_events.c.workspace_id == workspace_id)
        if action is not None:
            query = query.where(audit_events.c.action == action)
        if cursor is not None:
            # Longer ones are no 64-bit integers.
            if not cursor.isdecimal() or len(cursor) > 18:
                raise cursor_invalid()
            query = query.where(audit_events.c.sequence < int(cursor))
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        items = [_event(dict(row)) for row in rows[:limit]]
        return Page(items=items, next_cursor=str(items[-1].sequence) if len(rows) > limit else None)


def _event(row: dict[str, Any]) -> AuditEvent:
    actor_id, name = row.pop("actor_id"), row.pop("actor_name")
    actor = PersonRef(id=actor_id, name=name, display_name=name) if actor_id else None
    return AuditEvent(actor=actor, **row)
