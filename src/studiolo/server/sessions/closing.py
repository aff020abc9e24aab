"""Close what ended logins, keys and memberships have open inside sessions: sockets are authorised as they open."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import httpx
import structlog

from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.repeat import repeat
from studiolo.server.sessions import queries
from studiolo.server.sessions.inside import ask_session
from studiolo.server.sessions.secrets import SessionSecrets

_log = structlog.get_logger(__name__)
_TRIES = 3
_TRY_SECONDS = 1.0
_LOOK_SECONDS = 3.0
# What ended while no control plane ran is looked at once, at the start; later looks overlap a little.
_FIRST_LOOK = timedelta(days=7)
_OVERLAP = timedelta(seconds=10)


class SocketCloser:
    """Tells the running sessions of a person which of their logins ended (promise S5: within five seconds)."""

    def __init__(self, db: Database, clock: Clock, session_secrets: SessionSecrets) -> None:
        self._db = db
        self._clock = clock
        self._looked_at = clock.now() - _FIRST_LOOK
        self._secrets = session_secrets
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self, person_id: str, logins: set[str]) -> None:
        """Close the sockets of these logins or keys soon; returns at once."""
        if logins:
            self._begin(self._close(person_id, logins))

    def close_workspace(self, workspace_id: str, person_id: str | None) -> None:
        """Close soon whatever is open in a workspace's sessions (of one person), who lost their access to it."""
        self._begin(self._close_workspace(workspace_id, person_id))

    async def look_forever(self) -> None:
        """Look every three seconds for what ended by time, or by another process's hand."""
        await repeat(self.look, every_seconds=_LOOK_SECONDS, failed="ended-not-looked-for")

    async def look(self) -> None:
        """Close what is open of logins and keys that ended since the last look."""
        now = self._clock.now()
        async with self._db.read() as connection:
            ended = await queries.list_ended_credentials(connection, self._looked_at, now)
        self._looked_at = now - _OVERLAP
        for person_id, logins in ended.items():
            self.close(person_id, logins)

    async def drain(self) -> None:
        """Wait until all that were asked to close have answered, for a process that ends now."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close_workspace(self, workspace_id: str, person_id: str | None) -> None:
        async with self._db.read() as connection:
            rows = await queries.list_open_to(connection, workspace_id, person_id)
            # A session is entered by its own person only.
            people = {row["person_id"] for row in rows}
            logins = {person: await queries.list_credentials(connection, person) for person in people}
        await asyncio.gather(
            *(self._tell(row["id"], row["handle_launch"], row["upstream"], logins[row["person_id"]]) for row in rows)
        )

    async def _close(self, person_id: str, logins: set[str]) -> None:
        async with self._db.read() as connection:
            reachable = await queries.list_reachable(connection, person_id)
        await asyncio.gather(*(self._tell(*session, logins) for session in reachable))

    async def _tell(self, session_id: str, launch: int, upstream: str, logins: set[str]) -> None:
        secret, body = self._secrets.of_launch(session_id, launch), {"logins": sorted(logins)}
        for _ in range(_TRIES):
            try:
                await ask_session(session_id, upstream, secret, "close", body, seconds=_TRY_SECONDS)
            except httpx.HTTPError as exc:
                why = str(exc)
            else:
                return
        _log.warning("sockets-not-closed", session=session_id, why=why)
