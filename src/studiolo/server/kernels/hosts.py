"""Which kernel host has which kernels: that of this machine, or one beside a session elsewhere (decision 009)."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import RowMapping

from studiolo.contract.errors import Conflict, Unavailable
from studiolo.engines.base import Phase
from studiolo.kit.db import Database
from studiolo.kit.local_http import way_to
from studiolo.server.engines.calls import observe
from studiolo.server.engines.engines import Engines
from studiolo.server.kernels import queries
from studiolo.server.kernels.host import KernelHost
from studiolo.server.sessions import queries as session_queries
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.server.sessions.wire import engine_of

# What a session's shim writes for the host of this machine, see `runtime.registrations`.
GROUNDS = "kernels.json"
_REACH_SECONDS = 2.0
_MOST_KNOWN = 4096


class HostElsewhere(KernelHost):
    """The kernel host beside one launch of a session; its secret is the launch's."""

    def __init__(self, upstream: str, secret: str) -> None:
        self._upstream = upstream
        self._launch_secret = secret
        self._way = way_to(upstream)

    @property
    def upstream(self) -> str:
        """Where the front door finds it."""
        return self._upstream

    @property
    def secret(self) -> str:
        """The secret of the launch."""
        return self._launch_secret


class KernelHosts:
    """Finds hosts. An engine is asked once for each launch: where its host is does not change while it runs."""

    def __init__(
        self, db: Database, here: KernelHost, engines: Engines, session_secrets: SessionSecrets, session_sockets: Path
    ) -> None:
        self.here = here
        self._db = db
        self._engines = engines
        self._secrets = session_secrets
        self._sockets = session_sockets
        # By launch; None: it has none.
        self._known: dict[str, KernelHost | None] = {}

    async def of_session(self, row: RowMapping) -> KernelHost | None:
        """Return the host of a running session's kernels; None: they are its own server's.

        Raises Unavailable (`engine-unavailable`) while the engine cannot tell.
        """
        scope = f"{row['id']}.{row['handle_launch'] or row['launch']}"
        if (self._sockets / scope / GROUNDS).exists():
            return self.here
        if scope not in self._known and row["handle"] is not None:
            await self._find_out(scope, row)
        return self._known.get(scope)

    async def of_kernels(self, session_id: str | None) -> KernelHost:
        """Return the host of a session's kernels, None: of headless ones.

        Raises Conflict (`session-not-running`), Unavailable (`engine-unavailable`).
        """
        if session_id is None:
            return self.here
        async with self._db.read() as connection:
            row = await session_queries.find(connection, session_id)
        if row is None or engine_of(row) == self._engines.here:
            return self.here
        host = await self.of_session(row) if row["handle"] is not None and row["upstream"] else None
        if host is None:
            is_place = row["kind"] == session_queries.KERNELS
            raise Conflict(
                "session-not-running",
                "The place that the kernel ran in has ended, and what the kernel put out is kept there."
                if is_place
                else "The kernel's session does not run, and what the kernel put out is kept where it ran.",
                hint="Start another kernel of the same size there to read it."
                if is_place
                else "Start the session again to read it.",
            )
        return host

    async def elsewhere(self, *, person_id: str | None = None, workspace_id: str | None = None) -> list[KernelHost]:
        """Return the hosts beside sessions elsewhere, of a person or a workspace, that can be told something now."""
        async with self._db.read() as connection:
            rows = await queries.list_sessions_elsewhere(
                connection, self._engines.here, person_id=person_id, workspace_id=workspace_id
            )
        found = await asyncio.gather(*map(self._find, rows))
        return [host for host in found if host is not None and host is not self.here]

    async def list_reachable(self) -> dict[str, RowMapping]:
        """Return bare rows of the sessions elsewhere that run, by the scope of their kernels."""
        async with self._db.read() as connection:
            rows = await queries.list_sessions_elsewhere(connection, self._engines.here)
        return {f"{row['id']}.{row['handle_launch']}": row for row in rows if row["upstream"]}

    async def scopes_elsewhere(self) -> set[str]:
        """Return the scopes of the launches that run elsewhere: their kernels are not this machine's to know."""
        async with self._db.read() as connection:
            rows = await queries.list_sessions_elsewhere(connection, self._engines.here)
        return {f"{row['id']}.{row['handle_launch']}" for row in rows}

    async def of_all(self, session_ids: Iterable[str | None]) -> set[KernelHost]:
        """Return the hosts of these sessions' kernels, as `of_kernels`; those that cannot be told now are left out."""
        hosts = set()
        for session_id in set(session_ids):
            with suppress(Conflict, Unavailable):
                hosts.add(await self.of_kernels(session_id))
        return hosts

    async def _find(self, row: RowMapping) -> KernelHost | None:
        with suppress(Unavailable):
            return await self.of_session(row)
        return None

    async def _find_out(self, scope: str, row: RowMapping) -> None:
        engine = self._engines.of(engine_of(row))
        seen = await observe(engine, row["handle"])
        if seen.phase is Phase.UNKNOWN:
            # Its own server is not asked instead: kernels would be started there, beside those that run.
            raise _not_reached(seen.message or "")
        if seen.phase is not Phase.READY:
            return
        found, upstream = None, seen.upstream if row["kind"] == session_queries.KERNELS else seen.kernels
        if upstream is not None and await _is_there(upstream):
            found = HostElsewhere(upstream, self._secrets.of_launch(row["id"], row["handle_launch"]))
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        # Its socket is bound before the server is ready: what is true now stays so.
        if found is not None or row["kind"] != session_queries.KERNELS:
            self._known[scope] = found


async def _is_there(upstream: str) -> bool:
    """Tell whether somebody listens. Raises Unavailable when that cannot be told."""
    socket, base = way_to(upstream)
    try:
        async with asyncio.timeout(_REACH_SECONDS):
            if socket is not None:
                _, writer = await asyncio.open_unix_connection(socket)
            else:
                host, _, port = base.removeprefix("http://").rpartition(":")
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except (OSError, TimeoutError) as exc:
        raise _not_reached(str(exc)) from exc
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _not_reached(detail: str) -> Unavailable:
    return Unavailable(
        "engine-unavailable",
        "Where the session's kernels are cannot be told now; they run on.",
        hint="Try again in a few seconds.",
        detail=detail,
    )
