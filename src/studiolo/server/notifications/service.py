"""Tell people what they wait for: kept until they have seen it, and shown on every page of theirs."""

import re
from datetime import timedelta

from sqlalchemy import RowMapping

from studiolo.contract.errors import NotFound
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import Page
from studiolo.contract.notifications import Notification
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import read_time_cursor, write_cursor
from studiolo.kit.db import Database, Transaction
from studiolo.kit.repeat import repeat
from studiolo.server.accounts.suspension import ERASED_DISPLAY_NAME
from studiolo.server.live import Live
from studiolo.server.notifications import queries
from studiolo.server.principal import Principal

TOPIC = "notifications"
_KEEP = timedelta(days=90)
_LOOK_SECONDS = 3600.0
_MAX_PAGE = 200


class Notifications:
    """What people were told. No record of changes is written for it: what is told comes with an event of its own."""

    def __init__(self, db: Database, clock: Clock, live: Live) -> None:
        self._db = db
        self._clock = clock
        self._live = live

    async def tell(self, tx: Transaction, person_id: str, kind: str, text: str, link: str) -> None:
        """Tell a person something within the transaction in which it becomes true.

        `kind`: stable, for programs. `link`: a path of ours where they see more of it.
        """
        await queries.insert_notification(
            tx.connection,
            {
                "id": new_id(IdKind.NOTIFICATION),
                "person_id": person_id,
                "kind": kind,
                "text": text,
                "link": link,
                "at": self._clock.now(),
            },
        )
        tx.after_commit(lambda: self._changed(person_id))

    async def list_(
        self, who: Principal, *, unread: bool = False, cursor: str | None = None, limit: int = 50
    ) -> Page[Notification]:
        """Return what the caller was told, newest first; `total`: how many of all they have not seen."""
        who.require("notification.list")
        after, limit = read_time_cursor(cursor), max(1, min(limit, _MAX_PAGE))
        async with self._db.read() as connection:
            rows = await queries.list_notifications(
                connection, who.person_id, unread=unread, after=after, limit=limit + 1
            )
            total = await queries.count_unread(connection, who.person_id)
        more, rows = len(rows) > limit, rows[:limit]
        end = write_cursor(rows[-1]["at"].isoformat(), rows[-1]["id"]) if more else None
        return Page(items=[_wire(row) for row in rows], next_cursor=end, total=total)

    async def count_unread(self, who: Principal) -> int:
        """Return how many the caller has not seen. Cheap: asked at each page."""
        async with self._db.read() as connection:
            return await queries.count_unread(connection, who.person_id)

    async def read(self, who: Principal, ids: list[str] | None = None) -> None:
        """Mark what the caller was told as seen: `ids`, or all. Repeatable; others' and unknown ids change nothing."""
        who.require("notification.read")
        async with self._db.write() as tx:
            if await queries.mark_read(tx.connection, who.person_id, ids, self._clock.now()):
                tx.after_commit(lambda: self._changed(who.person_id))

    async def open(self, who: Principal, notification_id: str) -> Notification:
        """Mark one as seen and return it. Raises NotFound (`notification-not-found`)."""
        await self.read(who, [notification_id])
        async with self._db.read() as connection:
            row = await queries.find_notification(connection, who.person_id, notification_id)
        if row is None:
            raise NotFound("notification-not-found", "This notification is not there any more.")
        return _wire(row)

    async def expire_forever(self) -> None:
        """Forget what is old, now and then."""
        await repeat(self.expire, every_seconds=_LOOK_SECONDS, failed="notifications-not-expired")

    async def expire(self) -> None:
        """Forget what people were told longer ago than it is kept."""
        async with self._db.write() as tx:
            await queries.delete_before(tx.connection, self._clock.now() - _KEEP)

    async def forget_person(self, tx: Transaction, person_id: str, display_name: str) -> None:
        """Forget what an erased person was told, and their name in what others were told (promise S15)."""
        await queries.delete_of(tx.connection, person_id)
        word = re.compile(rf"(?<!\w){re.escape(display_name)}(?!\w)")
        for row in await queries.list_naming(tx.connection, display_name):
            await queries.set_text(tx.connection, row["id"], word.sub(ERASED_DISPLAY_NAME, row["text"]))

    def _changed(self, person_id: str) -> None:
        self._live.publish((TOPIC,), workspace_id=None, person_id=person_id)


def _wire(row: RowMapping) -> Notification:
    return Notification(**{name: row[name] for name in Notification.model_fields})
