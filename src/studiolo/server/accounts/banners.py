"""What administrators tell everybody: one text at a time, until it ends by itself or is taken down."""

from datetime import timedelta

from sqlalchemy import delete, insert, select

from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import PersonRef
from studiolo.contract.people import Banner, BannerPost
from studiolo.kit.cache import MomentCache
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.accounts.tables import banners, people
from studiolo.server.audit.service import Audit
from studiolo.server.live import Live
from studiolo.server.principal import Principal

TOPIC = "banner"
# What another process posts is seen within this time.
_REMEMBER_SECONDS = 2.0


class Banners:
    """The one banner there is."""

    def __init__(self, db: Database, clock: Clock, audit: Audit, live: Live) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._live = live
        # In a tuple, so that "none" is an answer too.
        self._known: MomentCache[str, tuple[Banner | None]] = MomentCache(_REMEMBER_SECONDS)

    async def current(self) -> Banner | None:
        """Return what everybody is told now; for pages and for those who are signed in. Cheap: asked at each page."""
        known = self._known.find("")
        if known is None:
            generation = self._known.generation
            known = (await self._load(),)
            self._known.put("", known, generation=generation)
        banner = known[0]
        return None if banner is None or (banner.until and banner.until <= self._clock.now()) else banner

    async def read(self, who: Principal) -> Banner | None:
        """Return the same for a caller."""
        who.require("banner.read")
        return await self.current()

    async def post(self, who: Principal, form: BannerPost) -> Banner:
        """Tell everybody something, in place of what was told before."""
        who.require("banner.post")
        now = self._clock.now()
        banner = Banner(
            id=new_id(IdKind.BANNER),
            text=" ".join(form.text.split()),
            level=form.level,
            posted_at=now,
            posted_by=who.ref if who.person_id else None,
            until=now + timedelta(minutes=form.minutes) if form.minutes else None,
        )
        async with self._db.write() as tx:
            await tx.connection.execute(delete(banners))
            values = banner.model_dump(exclude={"posted_by"}) | {"posted_by": who.person_id or None}
            await tx.connection.execute(insert(banners).values(**values))
            await self._audit.record(tx, who, "banner.post", banner.id, text=banner.text, level=banner.level)
            tx.after_commit(self._changed)
        return banner

    async def withdraw(self, who: Principal) -> None:
        """Take it down; repeatable."""
        who.require("banner.post")
        async with self._db.write() as tx:
            if (await tx.connection.execute(delete(banners))).rowcount:
                await self._audit.record(tx, who, "banner.withdraw", "banner")
                tx.after_commit(self._changed)

    def _changed(self) -> None:
        self._known.clear()
        self._live.tell_everybody(TOPIC)

    async def _load(self) -> Banner | None:
        query = select(banners, people.c.name, people.c.display_name).join(
            people, people.c.id == banners.c.posted_by, isouter=True
        )
        async with self._db.read() as connection:
            row = (await connection.execute(query.order_by(banners.c.posted_at.desc()))).mappings().first()
        if row is None:
            return None
        by = row["posted_by"]
        return Banner(
            id=row["id"],
            text=row["text"],
            level=row["level"],
            posted_at=row["posted_at"],
            posted_by=PersonRef(id=by, name=row["name"], display_name=row["display_name"]) if by else None,
            until=row["until"],
        )
