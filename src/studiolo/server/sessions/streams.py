"""Progress and log of a session as they come, for those who still may see them."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from studiolo.contract.errors import LimitReached
from studiolo.contract.models import Session
from studiolo.engines.base import Logs
from studiolo.kit.db import Database
from studiolo.server.engines.engines import Engines
from studiolo.server.http.streaming import AskWho
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries
from studiolo.server.sessions.lookup import ENDED, SessionLookup
from studiolo.server.sessions.view import SessionView, is_settled
from studiolo.server.sessions.wire import engine_of, handle_of

_TICK_SECONDS = 1.0
_CHECK_SECONDS = 2.0
_MOST_PER_PERSON = 50


class SessionStreams:
    """Opens streams. Whoever reads one is asked about again every two seconds (promise S5)."""

    def __init__(self, db: Database, engines: Engines, lookup: SessionLookup, view: SessionView) -> None:
        self._db = db
        self._engines = engines
        self._lookup = lookup
        self._view = view
        self._open: Counter[str] = Counter()

    async def progress(self, who: Principal, reference: str, ask_who: AskWho) -> AsyncGenerator[Session]:
        """Return a stream of the session at each change, and each second for the time its step takes.

        It ends once the session has settled; a start that is cancelled settles as stopped. Raises LimitReached
        (`too-many-streams`) beside what `Sessions.get` raises; the stream raises when the right ends.
        """
        async with self._db.read() as connection:
            row = await self._lookup.resolve(connection, who, reference, "session.read")
        self._check_number(who)
        return self._progress(who, self._view.wire(row), ask_who)

    async def log(self, who: Principal, reference: str, lines: int, ask_who: AskWho) -> AsyncGenerator[str | None]:
        """Return a stream of the log's last lines and each new one, until the present launch has ended.

        A launch that has not begun is waited for. None says that nothing was written for a while.
        """
        async with self._db.read() as connection:
            row = await self._lookup.resolve(connection, who, reference, "session.log")
        self._check_number(who)
        return self._log(who, self._view.wire(row), max(0, min(lines, 2000)), ask_who)

    async def _progress(self, who: Principal, session: Session, ask_who: AskWho) -> AsyncGenerator[Session]:
        with self._counted(who):
            yield session
            while not is_settled(session):
                session = await self._view.wait_for_change(session, _TICK_SECONDS)
                await self._check(ask_who, session.id, "session.read")
                yield session

    async def _log(self, who: Principal, session: Session, lines: int, ask_who: AskWho) -> AsyncGenerator[str | None]:
        with self._counted(who):
            found = await self._begin(session)
            while found is None:
                yield None
                session = await self._view.wait_for_change(session, _TICK_SECONDS)
                await self._check(ask_who, session.id, "session.log")
                found = await self._begin(session)
            engine, handle = found
            if not isinstance(engine, Logs):
                return
            async for line in _paced(engine.follow(handle, lines=lines), _CHECK_SECONDS):
                if line is None:
                    await self._check(ask_who, session.id, "session.log")
                yield line

    async def _begin(self, session: Session) -> tuple[object, dict[str, object]] | None:
        """Return engine and handle once there is a log to follow, or there will never be."""
        async with self._db.read() as connection:
            row = await queries.find(connection, session.id)
        if row is None or (row["handle_launch"] != row["launch"] and row["state"] not in ENDED):
            return None
        return self._engines.of(engine_of(row)), handle_of(row)

    async def _check(self, ask_who: AskWho, session_id: str, operation: str) -> None:
        who = await ask_who()
        async with self._db.read() as connection:
            await self._lookup.resolve(connection, who, session_id, operation)

    def _check_number(self, who: Principal) -> None:
        if self._open[who.person_id] >= _MOST_PER_PERSON:
            raise LimitReached(
                "too-many-streams",
                f"You follow {_MOST_PER_PERSON} sessions or logs already, which is the limit for one person.",
                hint="Close some of the pages or programs that follow them.",
            )

    @contextlib.contextmanager
    def _counted(self, who: Principal) -> Iterator[None]:
        self._open[who.person_id] += 1
        try:
            yield
        finally:
            self._open[who.person_id] -= 1
            if not self._open[who.person_id]:
                del self._open[who.person_id]


async def _paced(lines: AsyncIterator[str], seconds: float) -> AsyncIterator[str | None]:
    """Yield the lines, and None whenever `seconds` have passed, however many lines come."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[str] | None = None
    due = loop.time() + seconds
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(lines))
            await asyncio.wait({waiting}, timeout=max(0.0, due - loop.time()))
            if loop.time() >= due:
                due = loop.time() + seconds
                yield None
            if waiting.done():
                done, waiting = waiting, None
                try:
                    line = done.result()
                except StopAsyncIteration:
                    return
                yield line
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        if isinstance(lines, AsyncGenerator):
            await lines.aclose()
