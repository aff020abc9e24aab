"""What carries moves on: one workspace at a time is copied, checked, taken back or let go of, until the row says so.

Level-triggered: a control plane that was killed begins the same step again, and what is there already is not sent anew.
"""

import time
from contextlib import AsyncExitStack
from datetime import timedelta

import structlog
from sqlalchemy import RowMapping

from studiolo.contract.errors import StudioloError, Unavailable
from studiolo.engines.base import StoredPlace
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.reconcile import Runner
from studiolo.server.moves import queries as move_queries
from studiolo.server.moves.copying import Copied, Tell, check_copy, copy_store
from studiolo.server.moves.places import MovingPlaces
from studiolo.server.principal import PLATFORM
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.register import Register, config_of
from studiolo.server.workspaces.sizes import stored

_log = structlog.get_logger(__name__)
_TELL_SECONDS = 0.5
_AGAIN = timedelta(seconds=5)
_SOON = timedelta(seconds=1)
# Each holds a place open at both ends, and blocks of files in memory.
_AT_ONCE = 4


class _EndedError(Exception):
    """The move is not in the state any more that this step is for: somebody took it back."""


class MoveSteps:
    """The reconciler of moves; its key is a workspace's id."""

    def __init__(self, db: Database, clock: Clock, folders: Folders, register: Register, places: MovingPlaces) -> None:
        self._db = db
        self._clock = clock
        self._folders = folders
        self._register = register
        self._places = places
        self.runner = Runner("moves", step=self._step, due=self._due, concurrency=_AT_ONCE)

    async def _due(self) -> list[str]:
        async with self._db.read() as connection:
            return await move_queries.list_due(connection)

    async def _step(self, workspace_id: str) -> timedelta | None:
        async with self._db.read() as connection:
            move = await move_queries.find(connection, workspace_id)
            # None once it lies in the trash.
            row = await queries.find_by_id(connection, "", workspace_id)
        if move is None or move["state"] not in move_queries.DUE:
            return None
        try:
            try:
                if move["state"] in move_queries.COPYING:
                    return await self._copy(move, row)
                return await self._empty(move)
            except StudioloError as problem:
                return await self._take(move, problem)
        except _EndedError:
            return timedelta()

    async def _copy(self, move: RowMapping, row: RowMapping | None) -> timedelta | None:
        workspace_id = move["workspace_id"]
        if row is None:
            await self._set(move, move_queries.COPYING, state="returning", message="The workspace was deleted.")
            return timedelta()
        async with self._db.read() as connection:
            in_use = await self._register.sessions.list_workspaces_in_use(connection)
        if workspace_id in in_use:
            # A place for kernels ends when it has had none for a while.
            await self._set(move, move_queries.COPYING, message="It waits for sessions to end.")
            return _SOON
        place = self._place(move, row)
        # What lies there already is left over, or was put there while the workspace was elsewhere.
        is_first = move["files_total"] is None
        async with AsyncExitStack() as opened:
            source = await opened.enter_async_context(self._places.open(move["came"], workspace_id, place))
            goal = await opened.enter_async_context(self._places.open(move["goes"], workspace_id, place, anew=is_first))
            done = await copy_store(source, goal, self._teller(move))
            await self._set(move, move_queries.COPYING, state="checking", **vars(done))
            await check_copy(source, goal, done)
        await self._arrive(move)
        return None

    async def _arrive(self, move: RowMapping) -> None:
        """Have the workspace be on the other engine."""
        async with self._db.write() as tx:
            await queries.lock(tx.connection, move["workspace_id"])
            row = await queries.find_by_id(tx.connection, "", move["workspace_id"])
            changed = await move_queries.change(
                tx.connection, move["workspace_id"], move_queries.COPYING, state="moved", code=None, message=None
            )
            if row is None or not changed:
                raise _EndedError
            values = {"config": stored(config_of(row).model_copy(update={"engine": move["goes"]}))}
            names = {"came": move["came"], "goes": move["goes"]}
            await self._register.change(tx, PLATFORM, row, "workspace.moved", values, **names)

    async def _empty(self, move: RowMapping) -> timedelta | None:
        """Remove the side that is not the workspace: the copy of a move that is taken back, the source of another."""
        is_over = move["state"] == "releasing"
        async with self._db.read() as connection:
            rows = await queries.list_by_id(connection, [move["workspace_id"]])
        place = self._place(move, rows[0] if rows else None)
        await self._places.empty(move["came"] if is_over else move["goes"], move["workspace_id"], place)
        state = "done" if is_over else "failed" if move["code"] else "cancelled"
        await self._set(move, (move["state"],), state=state, ended_at=self._clock.now())
        return None

    async def _take(self, move: RowMapping, problem: StudioloError) -> timedelta:
        """Wait for an engine that is away; take a copying back that cannot succeed."""
        message = f"{problem.message} {problem.hint or ''}".strip()
        is_away = isinstance(problem, Unavailable) and problem.code == "engine-unavailable"
        if is_away or move["state"] not in move_queries.COPYING:
            _log.info("move-waits", workspace=move["workspace_id"], code=problem.code, message=problem.message)
            # What is being taken back after a failure says why it failed.
            if not move["code"]:
                await self._set(move, (move["state"],), message=message)
            return _AGAIN
        async with self._db.write() as tx:
            failed = {"state": "returning", "code": problem.code, "message": message}
            if await move_queries.change(tx.connection, move["workspace_id"], move_queries.COPYING, **failed):
                names = {"goes": move["goes"], "code": problem.code}
                rows = await queries.list_by_id(tx.connection, [move["workspace_id"]])
                name = rows[0]["name"] if rows else move["workspace_id"]
                await self._register.record(tx, PLATFORM, "workspace.move-failed", name, move["workspace_id"], **names)
        return timedelta()

    async def _set(self, move: RowMapping, states: tuple[str, ...], **values: object) -> None:
        """Write what is seen; raises _EndedError when the move is in none of these states any more."""
        async with self._db.write(durable="state" in values) as tx:
            if not await move_queries.change(tx.connection, move["workspace_id"], states, **values):
                raise _EndedError
            tx.after_commit(lambda: self._register.publish(move["workspace_id"]))

    def _teller(self, move: RowMapping) -> Tell:
        """Return what writes how far a copying is, not with each block."""
        told_at = 0.0

        async def tell(done: Copied) -> None:
            nonlocal told_at
            if time.monotonic() - told_at < _TELL_SECONDS:
                return
            told_at = time.monotonic()
            await self._set(move, move_queries.COPYING, message=None, **vars(done))

        return tell

    def _place(self, move: RowMapping, row: RowMapping | None) -> StoredPlace:
        name = row["name"] if row is not None else move["workspace_id"]
        return StoredPlace(self._folders.of(move["workspace_id"], None), name, move["person"])
