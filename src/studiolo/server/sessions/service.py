"""Use cases of sessions: launch, list, start, stop, restart, forget, look at the log."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict, InvalidInput
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import Page, Session, SessionLaunch, SessionLog, SessionState
from studiolo.contract.names import check_name
from studiolo.contract.resources import Capacity, Resources
from studiolo.engines.base import Logs, Machine
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import read_time_cursor, write_cursor
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts.passwords import hash_password
from studiolo.server.audit.service import Audit
from studiolo.server.engines.calls import LOG_SECONDS, within
from studiolo.server.engines.engines import Engines
from studiolo.server.gpus.leases import Holder
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries
from studiolo.server.sessions.admission import Admission, amounts
from studiolo.server.sessions.lookup import ENDED, SessionLookup
from studiolo.server.sessions.view import SessionView
from studiolo.server.sessions.wire import engine_of, handle_of
from studiolo.server.sessions.wishes import Wishes
from studiolo.server.workspaces.service import Workspaces

MAX_PAGE = 200
MAX_WAIT_SECONDS = 60.0


class Sessions:
    """Sessions as their people see them."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        engines: Engines,
        workspaces: Workspaces,
        lookup: SessionLookup,
        audit: Audit,
        admission: Admission,
        wishes: Wishes,
        view: SessionView,
    ) -> None:
        self._db = db
        self._clock = clock
        self._engines = engines
        self._workspaces = workspaces
        self._lookup = lookup
        self._audit = audit
        self._admission = admission
        self._wishes = wishes
        self._view = view

    async def launch(self, who: Principal, form: SessionLaunch) -> Session:
        """Want a new session; returns at once, `wait` holds until it is ready.

        Raises NotFound for the workspace, Conflict (`session-exists`), InvalidInput (`engine-unknown`,
        `engine-storage`, `isolation-too-low`, `profile-unknown`, …), LimitReached (`too-many-sessions`,
        `limit-exceeded`, `capacity-exceeded`, `gpus-taken`).
        """
        who.require("session.launch")
        if not form.workspace:
            raise InvalidInput("request-invalid", "Say in which workspace: `workspace` is missing.")
        # Before a folder's workspace is made for it.
        self._engines.choose(form.engine)
        workspace = await self._workspaces.get_or_create_for(who, form.workspace)
        if form.name is not None:
            check_name(form.name, what="session")
        password_hash = await hash_password(form.password) if form.password else None
        session_id, asked = new_id(IdKind.SESSION), amounts(form.profile, form.resources, form.engine)
        machines = await self._admission.look()
        try:
            async with self._db.write() as tx:
                row = await self._workspaces.resolve(tx.connection, who, workspace.id, "session.launch")
                engine = self._engine_of(asked, row["config"])
                allowed = await self._admission.admit(
                    tx.connection,
                    machines,
                    engine=engine,
                    holder=Holder(session_id, who.person_id, who.name, row["id"], launch=1),
                    asked=asked,
                    config=row["config"],
                )
                taken = await queries.list_names(tx.connection, row["id"])
                name = form.name or next(n for i in range(1, 100_000) if (n := f"lab-{i}") not in taken)
                session = {
                    "id": session_id,
                    "workspace_id": row["id"],
                    "name": name,
                    "engine": engine,
                    "password_hash": password_hash,
                    "asked": asked,
                    "allowed": allowed,
                }
                await self._wishes.want_new(tx, who, session)
                return await self._view.read(tx.connection, session_id)
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
        before, limit = read_time_cursor(cursor), max(1, min(limit, MAX_PAGE))
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
        items = [self._view.wire(row) for row in rows[:limit]]
        return Page(items=items, next_cursor=_cursor(rows[limit - 1]) if len(rows) > limit else None)

    async def list_of_person(self, connection: AsyncConnection, person_id: str) -> list[Session]:
        """Return what a person has running, newest first, for those who have been authorised."""
        rows = await queries.list_page(
            connection,
            member_id=None,
            person_id=person_id,
            workspace_id=None,
            states=queries.ALIVE,
            before=None,
            limit=MAX_PAGE,
        )
        return [self._view.wire(row) for row in rows]

    async def get(self, who: Principal, reference: str, *, wait_seconds: float = 0) -> Session:
        """Return one session; with `wait_seconds`, when it has settled (running, stopped, failed) or time is up."""
        async with self._db.read() as connection:
            row = await self.resolve(connection, who, reference, "session.read")
        return await self._view.wait(self._view.wire(row), min(wait_seconds, MAX_WAIT_SECONDS))

    async def start(self, who: Principal, reference: str, *, resources: Resources | None = None) -> Session:
        """Start a session that ended, as a new launch of it; starting a running one is success.

        `resources`: what it asks for from now on, over what it asked for before.
        """
        machines = await self._admission.look()
        async with self._db.write() as tx:
            row = await self.resolve(tx.connection, who, reference, "session.start")
            if row["desired"] != "running":
                await self._launch_again(tx, who, row, "session.start", machines, resources)
            return await self._view.read(tx.connection, row["id"])

    async def restart(self, who: Principal, reference: str, *, resources: Resources | None = None) -> Session:
        """End the session's server and its kernels and start it anew, with what its workspace allows by now.

        `resources` as with `start`.
        """
        machines = await self._admission.look()
        async with self._db.write() as tx:
            row = await self.resolve(tx.connection, who, reference, "session.restart")
            await self._launch_again(tx, who, row, "session.restart", machines, resources)
            return await self._view.read(tx.connection, row["id"])

    async def stop(self, who: Principal, reference: str, *, note: str | None = None) -> Session:
        """Stop a session, also one that only starts; stopping one that ended is success.

        `note`: what its person reads with the reason.
        """
        async with self._db.write() as tx:
            row = await self.resolve(tx.connection, who, reference, "session.stop")
            if row["desired"] == "running" or row["state"] not in ENDED:
                by = f"{who.display_name}: {note.rstrip('.')}" if note else who.display_name
                await self._wishes.want_stopped(tx, row["id"], "stopped-by-person", by)
                await self._wishes.record(tx, who, "session.stop", row["id"], row["name"], row["workspace_id"])
            return await self._view.read(tx.connection, row["id"])

    async def delete(self, who: Principal, reference: str) -> None:
        """Forget a session that ended; raises Conflict (`session-running`) while it runs."""
        async with self._db.write() as tx:
            row = await self.resolve(tx.connection, who, reference, "session.delete")
            if row["state"] not in ENDED:
                raise Conflict("session-running", f"{row['name']!r} still runs.", hint=f"studiolo stop {row['id']}")
            await queries.update_intent(tx.connection, row["id"], deleted_at=self._clock.now())
            await self._wishes.record(tx, who, "session.delete", row["id"], row["name"], row["workspace_id"])
            tx.after_commit(lambda: self._wishes.hint(row["id"]))

    async def log(self, who: Principal, reference: str, *, lines: int = 200) -> SessionLog:
        """Return the end of the session's log."""
        async with self._db.read() as connection:
            row = await self.resolve(connection, who, reference, "session.log")
        engine, lines = self._engines.of(engine_of(row)), max(1, min(lines, 2000))
        if not isinstance(engine, Logs):
            return SessionLog(lines=[], truncated=False)
        found = await within(LOG_SECONDS, engine.name, engine.tail(handle_of(row), lines=lines + 1))
        return SessionLog(lines=found[-lines:], truncated=len(found) > lines)

    async def wait(self, who: Principal, session: Session, seconds: float) -> Session:
        """Return the session when it has settled or time is up."""
        who.require("session.read")
        return await self._view.wait(session, min(seconds, MAX_WAIT_SECONDS))

    async def stop_everything(self, who: Principal) -> int:
        """Want every session stopped, for a platform that goes down with them; returns how many."""
        async with self._db.write() as tx:
            due = await queries.list_due(tx.connection)
            for session_id in due:
                await self._wishes.want_stopped(tx, session_id, "platform-stopped", who.display_name)
            if due:
                await self._audit.record(tx, who, "session.stop-all", "platform", sessions=len(due))
        return len(due)

    async def count_alive(self) -> int:
        """Number of sessions that run or end."""
        async with self._db.read() as connection:
            return await queries.count_alive(connection)

    async def claimed(self, connection: AsyncConnection, engine: str) -> Capacity:
        """Return what the sessions alive on an engine may use together."""
        return await queries.claimed(connection, engine)

    async def resolve(self, connection: AsyncConnection, who: Principal, reference: str, operation: str) -> RowMapping:
        """Find the session that `reference` means and authorise `operation` on it (see SessionLookup)."""
        return await self._lookup.resolve(connection, who, reference, operation)

    async def _launch_again(
        self,
        tx: Transaction,
        who: Principal,
        row: RowMapping,
        action: str,
        machines: Mapping[str, Machine],
        resources: Resources | None,
    ) -> None:
        asked = row["asked"]
        if resources is not None:
            before = asked or {}
            own = resources.over(Resources.model_validate(before.get("resources") or {}))
            asked = amounts(before.get("profile"), own, before.get("engine"))
            await queries.update_intent(tx.connection, row["id"], asked=asked)
        engine = self._engine_of(asked, row["config"])
        allowed = await self._admission.admit(
            tx.connection,
            machines,
            engine=engine,
            holder=Holder(
                row["id"], row["person_id"], row["person_name"], row["workspace_id"], launch=row["launch"] + 1
            ),
            asked=asked,
            config=row["config"],
        )
        await self._wishes.want_again(tx, who, row, action, engine=engine, allowed=allowed)

    def _engine_of(self, asked: Mapping[str, Any] | None, config: Mapping[str, Any] | None) -> str:
        """Return where a launch runs; one that was asked for with its first launch stays."""
        config = config or {}
        return self._engines.choose_for((asked or {}).get("engine"), config.get("engine"), config.get("min_isolation"))


def _cursor(row: RowMapping) -> str:
    return write_cursor(row["created_at"].isoformat(), row["id"])
