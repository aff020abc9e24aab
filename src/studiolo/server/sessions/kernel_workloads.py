"""Places for kernels alone on other engines: sessions of kind `kernels`, found or started when one is asked for.

There is one for each person, workspace, engine and size; see docs/decisions/013.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Unavailable
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import Session, SessionState
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.server.gpus.leases import Holder
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries
from studiolo.server.sessions.admission import Admission, Amounts
from studiolo.server.sessions.lookup import ENDED, not_found
from studiolo.server.sessions.view import SessionView
from studiolo.server.sessions.wishes import Wishes
from studiolo.server.workspaces.service import Workspaces

# Stock clients give a start up after 40 s, and the kernel itself takes its part of that.
PLACE_SECONDS = 20.0
_ASK_AGAIN_SECONDS = 5


class KernelWorkloads:
    """Finds, starts and keeps them; their end is the idle stop's."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        workspaces: Workspaces,
        admission: Admission,
        wishes: Wishes,
        view: SessionView,
        *,
        idle_stop: timedelta,
    ) -> None:
        self._db = db
        self._clock = clock
        self._workspaces = workspaces
        self._admission = admission
        self._wishes = wishes
        self._view = view
        self._idle_stop = idle_stop

    async def want(
        self,
        who: Principal,
        workspace_id: str,
        engine: str,
        asked: Amounts,
        *,
        check: Callable[[AsyncConnection, str], Awaitable[None]],
    ) -> Session:
        """Return the place that is wanted to run, started if there is none. Raises as `Admission.admit`.

        `check`: raises, within the transaction, where there may be no further one, a workspace's.
        """
        async with self._db.read() as connection:
            found = await queries.list_kernel_workloads(connection, workspace_id, who.person_id, engine)
        row = _of_size(found, asked)
        if row is not None and row["desired"] == "running":
            return self._view.wire(row)
        machines = await self._admission.look()
        async with self._db.write() as tx:
            # Whoever asks at the same time finds what we make.
            await queries.wait_for_turn(tx.connection)
            workspace = await self._workspaces.resolve(tx.connection, who, workspace_id, "kernel.start")
            row = _of_size(
                await queries.list_kernel_workloads(tx.connection, workspace["id"], who.person_id, engine), asked
            )
            session_id, launch = (row["id"], row["launch"] + 1) if row is not None else (new_id(IdKind.SESSION), 1)
            if row is None or row["desired"] != "running":
                await check(tx.connection, workspace["id"])
                allowed = await self._admission.admit(
                    tx.connection,
                    machines,
                    engine=engine,
                    holder=Holder(session_id, who.person_id, who.name, workspace["id"], launch=launch),
                    asked=asked,
                    config=workspace["config"],
                    is_counted=False,
                )
                if row is not None:
                    await self._wishes.want_again(tx, who, row, "session.start", engine=engine, allowed=allowed)
                else:
                    taken = await queries.list_names(tx.connection, workspace["id"])
                    session = {
                        "id": session_id,
                        "kind": queries.KERNELS,
                        "workspace_id": workspace["id"],
                        "name": next(n for i in range(1, 100_000) if (n := f"kernels-{i}") not in taken),
                        "engine": engine,
                        "asked": asked,
                        "allowed": allowed,
                    }
                    await self._wishes.want_new(tx, who, session)
            return await self._view.read(tx.connection, session_id)

    async def await_running(self, session: Session) -> RowMapping:
        """Return the described row of a place once it runs.

        Raises Unavailable: `kernel-not-started` when it ended, `kernel-place-pending` when it takes long.
        """
        session = await self._view.wait(session, PLACE_SECONDS)
        if session.state in ENDED:
            words = session.reason.message if session.reason else "It was stopped."
            raise Unavailable("kernel-not-started", f"No place for kernels could be had on {session.engine}. {words}")
        if session.state is not SessionState.RUNNING:
            words = session.progress.message if session.progress and session.progress.message else "It starts."
            raise Unavailable(
                "kernel-place-pending",
                f"The kernel waits for its place on {session.engine}. {words}",
                hint=f"Ask again in a while: the place is kept. To give it up: studiolo stop {session.id}.",
                retry_after=_ASK_AGAIN_SECONDS,
            )
        async with self._db.read() as connection:
            row = await queries.find(connection, session.id)
        if row is None:
            raise not_found(session.id)
        return row

    async def keep(self, tx: Transaction, session_id: str) -> None:
        """Have a place stay until what begins in it now has been told of."""
        until = self._clock.now() + self._idle_stop
        await queries.update_intent(tx.connection, session_id, snoozed_until=until, idle_stop_at=None)


def _of_size(rows: Iterable[RowMapping], asked: Amounts) -> RowMapping | None:
    """Return the newest that was asked for with the same size."""
    return next((row for row in rows if row["asked"] == asked), None)
