"""Close what ended logins, keys and memberships have open inside sessions."""

import asyncio
from collections.abc import Callable
from functools import partial

import httpx
import structlog
from sqlalchemy import Select

from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.accounts import queries as account_queries
from studiolo.server.accounts.closing import TRY_SECONDS, Closer
from studiolo.server.fronts import has_front
from studiolo.server.sessions import queries
from studiolo.server.sessions.inside import ask_session
from studiolo.server.sessions.secrets import SessionSecrets

_log = structlog.get_logger(__name__)


class SocketCloser(Closer):
    """Tells the running sessions of a person which of their logins ended."""

    def __init__(self, db: Database, clock: Clock, session_secrets: SessionSecrets) -> None:
        super().__init__(db, clock)
        self._secrets = session_secrets
        # Closes sockets to servers that are not ours; set by the composition root.
        self.close_carried: Callable[[str, set[str]], None] = lambda session_id, logins: None

    def _among(self) -> Select[tuple[str]]:
        return queries.people_with_sessions()

    async def _close_workspace(self, workspace_id: str, person_id: str | None) -> None:
        async with self._db.read() as connection:
            rows = await queries.list_open_to(connection, workspace_id, person_id)
            # A session is entered by its own person only.
            people = {row["person_id"] for row in rows}
            logins = {person: await account_queries.list_credentials(connection, person) for person in people}
        await asyncio.gather(
            *(self._tell(row["id"], row["handle_launch"], row["upstream"], logins[row["person_id"]]) for row in rows)
        )

    async def _close(self, person_id: str, logins: set[str]) -> None:
        async with self._db.read() as connection:
            reachable = await queries.list_reachable(connection, person_id)
        await asyncio.gather(*(self._tell(*session, logins) for session in reachable))

    async def _tell(self, session_id: str, launch: int, upstream: str, logins: set[str]) -> None:
        if has_front(upstream):
            # Nothing of ours is there that could close them.
            self.close_carried(session_id, logins)
            return
        secret, body = self._secrets.of_launch(session_id, launch), {"logins": sorted(logins)}
        ask = partial(ask_session, session_id, upstream, secret, "close", body, seconds=TRY_SECONDS)
        if failed := await self._insist(ask, httpx.HTTPError):
            _log.warning("sockets-not-closed", session=session_id, why=str(failed))
