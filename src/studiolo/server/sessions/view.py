"""Sessions as people see them, and waiting until one has settled."""

import asyncio

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.models import Session, SessionState
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.engines.engines import Engines
from studiolo.server.sessions import queries
from studiolo.server.sessions.changes import Changes
from studiolo.server.sessions.lookup import not_found
from studiolo.server.sessions.wire import session_wire

_SETTLED = (SessionState.RUNNING, SessionState.STOPPED, SessionState.FAILED)


class SessionView:
    """Reads sessions for those who have been authorised."""

    def __init__(self, db: Database, clock: Clock, engines: Engines, changes: Changes, *, address: str) -> None:
        self._db = db
        self._clock = clock
        self._engines = engines
        self._changes = changes
        self._address = address

    def wire(self, row: RowMapping) -> Session:
        """Return a described row (see queries) as the wire model."""
        isolation = self._engines.of(row["engine"]).isolation
        return session_wire(row, address=self._address, isolation=isolation, now=self._clock.now())

    async def read(self, connection: AsyncConnection, session_id: str) -> Session:
        """Return the session as it is now; raises NotFound."""
        row = await queries.find(connection, session_id)
        if row is None:
            raise not_found(session_id)
        return self.wire(row)

    async def wait(self, session: Session, seconds: float) -> Session:
        """Return the session when it has settled or time is up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not is_settled(session) and loop.time() < until:
            session = await self.wait_for_change(session, until - loop.time())
        return session

    async def wait_for_change(self, session: Session, seconds: float) -> Session:
        """Return the session as it is after a change, or after `seconds`; at once when it has settled meanwhile."""
        waiting = asyncio.create_task(self._changes.wait(session.id, seconds))
        try:
            # One turn of the loop, so that the wait is registered before we look.
            await asyncio.sleep(0)
            async with self._db.read() as connection:
                now = await self.read(connection, session.id)
            if is_settled(now):
                return now
            await waiting
        finally:
            waiting.cancel()
        async with self._db.read() as connection:
            return await self.read(connection, session.id)


def is_settled(session: Session) -> bool:
    """Tell whether the session is what is wanted, or has ended: nothing more will come of itself."""
    return session.state in _SETTLED and (session.state is SessionState.RUNNING) == (session.desired == "running")
