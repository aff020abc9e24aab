"""Close what an ended login or key has open inside sessions: websockets are authorised only when they open."""

import asyncio
import json

import httpx
import structlog

from studiolo.kit.db import Database
from studiolo.server.sessions import queries
from studiolo.server.sessions.secrets import SessionSecrets

_log = structlog.get_logger(__name__)
_TRIES = 3
_TRY_SECONDS = 1.0


class SocketCloser:
    """Tells the running sessions of a person which of their logins ended (promise S5: within five seconds)."""

    def __init__(self, db: Database, session_secrets: SessionSecrets) -> None:
        self._db = db
        self._secrets = session_secrets
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self, person_id: str, logins: set[str]) -> None:
        """Close the sockets of these logins or keys soon; returns at once."""
        if not logins:
            return
        task = asyncio.get_running_loop().create_task(self._close(person_id, logins))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until all that were asked to close have answered, for a process that ends now."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close(self, person_id: str, logins: set[str]) -> None:
        async with self._db.read() as connection:
            reachable = await queries.list_reachable(connection, person_id)
        await asyncio.gather(*(self._tell(*session, logins) for session in reachable))

    async def _tell(self, session_id: str, launch: int, upstream: str, logins: set[str]) -> None:
        headers = {
            "X-Studiolo-Secret": self._secrets.of_launch(session_id, launch),
            "X-Studiolo-Auth": "platform",
            "Host": "localhost",
        }
        path = upstream.removeprefix("unix/")
        transport = httpx.AsyncHTTPTransport(uds=path) if path != upstream else None
        base = "http://localhost" if transport else f"http://{upstream}"
        async with httpx.AsyncClient(transport=transport, timeout=_TRY_SECONDS) as client:
            for _ in range(_TRIES):
                try:
                    address = f"{base}/s/{session_id}/studiolo/close"
                    reply = await client.post(address, headers=headers, content=json.dumps({"logins": sorted(logins)}))
                    reply.raise_for_status()
                except httpx.HTTPError as exc:
                    why = str(exc)
                else:
                    return
        _log.warning("sockets-not-closed", session=session_id, why=why)
