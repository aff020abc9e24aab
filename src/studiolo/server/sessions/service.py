"""Use cases of sessions: launch, list, start, stop, restart, forget, look at the log."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict, InvalidInput, LimitReached
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import Activity, Page, Session, SessionLaunch, SessionLog, SessionState
from studiolo.contract.names import check_name
from studiolo.engines.base import Engine, Logs
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import cursor_invalid, read_cursor, write_cursor
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts.keys import Keys
from studiolo.server.accounts.passwords import hash_password
from studiolo.server.audit.service import Audit
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries
from studiolo.server.sessions.changes import Changes
from studiolo.server.sessions.lookup import ENDED, SessionLookup, not_found
from studiolo.server.sessions.reconciler import SessionReconciler
from studiolo.server.sessions.secrets import SessionSecrets
from studiolo.server.sessions.wire import session_wire
from studiolo.server.settings.sessions import SessionSettings
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.service import Workspaces

MAX_PAGE = 200
MAX_WAIT_SECONDS = 60.0
_SETTLED = (SessionState.RUNNING, SessionState.STOPPED, SessionState.FAILED)


class Sessions:
    """Sessions as their people see them."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        engines: Mapping[str, Engine],
        keys: Keys,
        workspaces: Workspaces,
        access: Access,
        audit: Audit,
        changes: Changes,
        reconciler: SessionReconciler,
        session_secrets: SessionSecrets,
        settings: SessionSettings,
        *,
        address: str,
    ) -> None:
        self._db = db
        self._clock = clock
        self._engines = engines
        self._keys = keys
        self._workspaces = workspaces
        self._lookup = SessionLookup(workspaces, access)
        self._audit = audit
        self._changes = changes
        self._reconciler = reconciler
        self._secrets = session_secrets
        self._settings = settings
        self._address = address

    async def launch(self, who: Principal, form: SessionLaunch) -> Session:
        """Want a new session; returns at once, `wait` holds until it is ready.

        Raises NotFound for the workspace, Conflict (`session-exists`), LimitReached (`too-many-sessions`).
        """
        who.require("session.launch")
        if not form.workspace:
            raise InvalidInput("request-invalid", "Say in which workspace: `workspace` is missing.")
        workspace = await self._workspaces.get_or_create_for(who, form.workspace)
        if form.name is not None:
            check_name(form.name, what="session")
        password_hash = await hash_password(form.password) if form.password else None
        session_id, now = new_id(IdKind.SESSION), self._clock.now()
        try:
            async with self._db.write() as tx:
                row = await self._workspaces.resolve(tx.connection, who, workspace.id, "session.launch")
                await self._check_limits(tx.connection, who)
                taken = await queries.list_names(tx.connection, row["id"])
                name = form.name or next(n for i in range(1, 100_000) if (n := f"lab-{i}") not in taken)
                await queries.insert_session(
                    tx.connection,
                    {
                        "id": session_id,
                        "workspace_id": row["id"],
                        "person_id": who.person_id,
                        "name": name,
                        "engine": "local",
                        "password_hash": password_hash,
                        "desired": "running",
                        "launch": 1,
                        "requested_at": now,
                        "state": SessionState.STARTING.value,
                        "created_at": now,
                        "lease_owner": self._reconciler.owner,
                        "lease_epoch": 1,
                    },
                )
                await self._admit_key(tx, session_id, 1, who.person_id, row["id"])
                await self._record(tx, who, "session.launch", session_id, name, row["id"])
                tx.after_commit(lambda: self._reconciler.adopt(session_id))
                tx.after_commit(lambda: self._reconciler.runner.hint(session_id))
                return await self._read(tx.connection, session_id)
        except IntegrityError as exc:
            raise Conflict(
                "session-exists",
                f"{workspace.name!r} has a session {form.name!r} already.",
                hint=f"Open it (studiolo open {workspace.name}), or leave the name out.",
            ) from exc

    async def list_(
        self,
        who: Principal,
        *,
        workspace: str | None = None,
        states: Iterable[SessionState] = (),
        everything: bool = False,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Session]:
        """Return a page, newest first: the caller's own, a workspace's, or (`everything`) all they can see."""
        who.require("session.list")
        before, limit = _read_cursor(cursor), max(1, min(limit, MAX_PAGE))
        async with self._db.read() as connection:
            workspace_id = who.workspace_id
            if workspace is not None:
                workspace_id = (await self._workspaces.resolve(connection, who, workspace, "session.read"))["id"]
            rows = await queries.list_page(
                connection,
                member_id=who.person_id if everything and not who.is_admin else None,
                person_id=None if everything or workspace is not None else who.person_id,
                workspace_id=workspace_id,
                states=[state.value for state in states],
                before=before,
                limit=limit + 1,
            )
        items = [self._wire(row) for row in rows[:limit]]
        return Page(items=items, next_cursor=_cursor(rows[limit - 1]) if len(rows) > limit else None)

    async def get(self, who: Principal, reference: str, *, wait_seconds: float = 0) -> Session:
        """Return one session; with `wait_seconds`, when it has settled (running, stopped, failed) or time is up."""
        async with self._db.read() as connection:
            row = await self.resolve(connection, who, reference, "session.read")
        return await self._wait(self._wire(row), wait_seconds)

    async def start(self, who: Principal, reference: str) -> Session:
        """Start a session that ended, as a new launch of it; starting a running one is success."""
        async with self._db.write() as tx:
            row = await self.resolve(tx.connection, who, reference, "session.start")
            if row["desired"] != "running":
                await self._check_limits(tx.connection, who)
                await self._launch_again(tx, who, row, "session.start")
            return await self._read(tx.connection, row["id"])

    async def restart(self, who: Principal, reference: str) -> Session:
        """End the session's server and its kernels and start it anew."""
        async with self._db.write() as tx:
            row = await self.resolve(tx.connection, who, reference, "session.restart")
            await self._launch_again(tx, who, row, "session.restart")
            return await self._read(tx.connection, row["id"])

    async def stop(self, who: Principal, reference: str) -> Session:
        """Stop a session; stopping one that ended is success."""
        async with self._db.write() as tx:
            row = await self.resolve(tx.connection, who, reference, "session.stop")
            if row["desired"] == "running" or row["state"] not in ENDED:
                await self._want_stopped(tx, who, row["id"], "stopped-by-person")
                await self._record(tx, who, "session.stop", row["id"], row["name"], row["workspace_id"])
            return await self._read(tx.connection, row["id"])

    async def delete(self, who: Principal, reference: str) -> None:
        """Forget a session that ended; raises Conflict (`session-running`) while it runs."""
        async with self._db.write() as tx:
            row = await self.resolve(tx.connection, who, reference, "session.delete")
            if row["state"] not in ENDED:
                raise Conflict("session-running", f"{row['name']!r} still runs.", hint=f"studiolo stop {row['id']}")
            await queries.update_intent(tx.connection, row["id"], deleted_at=self._clock.now())
            await self._record(tx, who, "session.delete", row["id"], row["name"], row["workspace_id"])
            tx.after_commit(lambda: self._hint(row["id"]))

    async def log(self, who: Principal, reference: str, *, lines: int = 200) -> SessionLog:
        """Return the end of the session's log."""
        async with self._db.read() as connection:
            row = await self.resolve(connection, who, reference, "session.log")
        engine, lines = self._engines[row["engine"]], max(1, min(lines, 2000))
        if not isinstance(engine, Logs):
            return SessionLog(lines=[], truncated=False)
        handle = row["handle"] or {"workload_id": row["id"], "launch": row["launch"]}
        found = await engine.tail(handle, lines=lines + 1)
        return SessionLog(lines=found[-lines:], truncated=len(found) > lines)

    async def wait(self, who: Principal, session: Session, seconds: float) -> Session:
        """Return the session when it has settled or time is up."""
        who.require("session.read")
        return await self._wait(session, seconds)

    async def report(self, who: Principal, session_id: str, activity: Activity) -> None:
        """Take a session's own report; only the session's key may give it."""
        if who.session_id != session_id:
            raise not_found(session_id)
        async with self._db.write() as tx:
            values = {"activity": activity.model_dump(mode="json")}
            await queries.update_intent(tx.connection, session_id, **values)
            topics = ("home", f"session:{session_id}")
            tx.after_commit(
                lambda: self._audit.live.publish(topics, workspace_id=who.workspace_id, person_id=who.person_id)
            )

    async def stop_everything(self, who: Principal) -> int:
        """Want every session stopped, for a platform that goes down with them; returns how many."""
        async with self._db.write() as tx:
            due = await queries.list_due(tx.connection)
            for session_id in due:
                await self._want_stopped(tx, who, session_id, "platform-stopped")
            if due:
                await self._audit.record(tx, who, "session.stop-all", "platform", sessions=len(due))
        return len(due)

    async def count_alive(self) -> int:
        """Number of sessions that run or end."""
        async with self._db.read() as connection:
            return await queries.count_alive(connection)

    def environment_changed(self, workspace_id: str) -> None:
        """Called when a workspace's environment became ready or failed: sessions that wait for it look again."""
        self._reconciler.look_at_workspace(workspace_id)

    # For the workspaces domain (see SessionsOfWorkspaces)

    async def count_running(self, connection: AsyncConnection, ids: Iterable[str]) -> dict[str, int]:
        """Number of sessions alive for each workspace."""
        return await queries.count_running(connection, ids)

    async def stop_all(self, tx: Transaction, who: Principal, workspace_id: str, *, person_id: str | None) -> None:
        """Want every session of a workspace (of one person) stopped, in the same transaction."""
        for session_id in await queries.list_ids_of_workspace(tx.connection, workspace_id, person_id):
            await self._want_stopped(tx, who, session_id, "workspace-deleted")

    async def resolve(self, connection: AsyncConnection, who: Principal, reference: str, operation: str) -> RowMapping:
        """Find the session that `reference` means and authorise `operation` on it (see SessionLookup)."""
        return await self._lookup.resolve(connection, who, reference, operation)

    async def _check_limits(self, connection: AsyncConnection, who: Principal) -> None:
        limit = self._settings.max_running_per_person
        if await queries.count_alive(connection, who.person_id) >= limit:
            raise LimitReached(
                "too-many-sessions",
                f"You have {limit} sessions running, which is the limit for one person.",
                hint="Stop one: studiolo sessions shows them.",
            )
        if await queries.count_alive(connection) >= self._settings.max_running:
            raise LimitReached(
                "too-many-sessions",
                f"{self._settings.max_running} sessions run on this platform, which is its limit.",
                hint="Try again when somebody has stopped one, or ask an administrator.",
            )

    async def _launch_again(self, tx: Transaction, who: Principal, row: RowMapping, action: str) -> None:
        launch, now = row["launch"] + 1, self._clock.now()
        await queries.update_intent(
            tx.connection,
            row["id"],
            desired="running",
            launch=launch,
            requested_at=now,
            stop_reason=None,
            state=SessionState.STARTING.value,
            started_at=None,
            ready_at=None,
            ended_at=None,
            reason=None,
            upstream=None,
        )
        await self._admit_key(tx, row["id"], launch, row["person_id"], row["workspace_id"])
        await self._record(tx, who, action, row["id"], row["name"], row["workspace_id"])
        tx.after_commit(lambda: self._hint(row["id"]))

    async def _want_stopped(self, tx: Transaction, who: Principal, session_id: str, code: str) -> None:
        stop_reason = {"code": code, "by": who.display_name}
        await queries.update_intent(tx.connection, session_id, desired="stopped", stop_reason=stop_reason)
        tx.after_commit(lambda: self._hint(session_id))

    def _hint(self, session_id: str) -> None:
        self._changes.announce(session_id)
        self._reconciler.runner.hint(session_id)

    async def _admit_key(
        self, tx: Transaction, session_id: str, launch: int, person_id: str, workspace_id: str
    ) -> None:
        await self._keys.add_session_key(
            tx,
            self._secrets.api_key(session_id, launch),
            person_id=person_id,
            session_id=session_id,
            workspace_id=workspace_id,
        )

    async def _wait(self, session: Session, seconds: float) -> Session:
        loop = asyncio.get_running_loop()
        until = loop.time() + min(seconds, MAX_WAIT_SECONDS)
        while not _is_settled(session) and loop.time() < until:
            waiting = asyncio.create_task(self._changes.wait(session.id, until - loop.time()))
            # One turn of the loop, so that the wait is registered before we look.
            await asyncio.sleep(0)
            async with self._db.read() as connection:
                session = await self._read(connection, session.id)
            if _is_settled(session):
                waiting.cancel()
            else:
                await waiting
        return session

    async def _read(self, connection: AsyncConnection, session_id: str) -> Session:
        row = await queries.find(connection, session_id)
        if row is None:
            raise not_found(session_id)
        return self._wire(row)

    def _wire(self, row: RowMapping) -> Session:
        return session_wire(
            row, address=self._address, isolation=self._engines[row["engine"]].isolation, now=self._clock.now()
        )

    async def _record(
        self, tx: Transaction, who: Principal, action: str, session_id: str, name: str, workspace_id: str
    ) -> None:
        topics = ("home", f"session:{session_id}", f"workspace:{workspace_id}")
        await self._audit.record(tx, who, action, name, workspace_id=workspace_id, topics=topics, session=session_id)


def _is_settled(session: Session) -> bool:
    return session.state in _SETTLED and (session.state is SessionState.RUNNING) == (session.desired == "running")


def _cursor(row: RowMapping) -> str:
    return write_cursor(row["created_at"].isoformat(), row["id"])


def _read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    found = read_cursor(cursor)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[0]), found[1]
    except ValueError as exc:
        raise cursor_invalid() from exc
