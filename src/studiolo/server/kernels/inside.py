"""What the kernel host beside a session elsewhere asks and tells, with the session's own key (decision 009).

Such a host runs among a member's own code: it is believed for the kernels of its own launch, and no further.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict, LimitReached
from studiolo.contract.models import SessionState
from studiolo.gateway.base import Wish
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.kernels import queries
from studiolo.server.kernels.grounds import Ground
from studiolo.server.kernels.lookup import is_kernel_id
from studiolo.server.kernels.reports import CONCLUDED, HostReports
from studiolo.server.kernels.rows import KernelRows
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries as session_queries
from studiolo.server.sessions.lookup import not_found

_RUNNING = (SessionState.STARTING, SessionState.RUNNING, SessionState.UNKNOWN)
# A report may have been on its way while a kernel was started.
_SURE_AFTER = timedelta(minutes=1)


class InsideHosts:
    """Answers hosts of launches; every method raises NotFound (`session-not-found`) for anybody else."""

    def __init__(self, db: Database, clock: Clock, rows: KernelRows, reports: HostReports, ground: Ground) -> None:
        self._db = db
        self._clock = clock
        self._rows = rows
        self._reports = reports
        self._ground = ground

    async def reserve(self, who: Principal, session_id: str, wish: Wish) -> None:
        """Admit a kernel. Raises Conflict (`session-not-running`, `kernel-exists`), LimitReached."""
        async with self._db.read() as connection:
            row = await self._find(connection, who, session_id)
        await self._add(who, row, wish, runs=False)

    async def started(self, who: Principal, session_id: str, kernel_id: str, *, ok: bool, message: str) -> None:
        """Note that a reserved kernel runs, or that it did not start."""
        if await self._is_theirs(who, session_id, kernel_id):
            await self._reports.started(kernel_id, ok=ok, message=message)

    async def ended(
        self, who: Principal, session_id: str, kernel_id: str, code: str, message: str, at: datetime
    ) -> None:
        """Note how a kernel ended."""
        if await self._is_theirs(who, session_id, kernel_id):
            await self._reports.end(kernel_id, code, message, min(at, self._clock.now()))

    async def report(self, who: Principal, session_id: str, kernels: Iterable[Mapping[str, Any]]) -> list[str]:
        """Take a report of all kernels of the launch; return the ids of those that nobody wants.

        A kernel that started while the platform was out of reach is added; one that is not told of any more has ended.
        """
        async with self._db.read() as connection:
            row = await self._find(connection, who, session_id)
        return await self._take(who, row, kernels)

    async def learn(self, session_id: str, kernels: Iterable[Mapping[str, Any]]) -> list[str]:
        """Take what a host elsewhere answered when it was asked for its kernels; returns as `report`."""
        async with self._db.read() as connection:
            row = await session_queries.find(connection, session_id)
        if row is None or row["handle_launch"] is None:
            return []
        names = (row["person_id"], row["person_name"], row["person_display_name"])
        who = Principal(*names, is_admin=False, via="session", session_id=session_id)
        return await self._take(who, row, kernels)

    async def _take(self, who: Principal, row: RowMapping, kernels: Iterable[Mapping[str, Any]]) -> list[str]:
        scope = f"{row['id']}.{row['handle_launch']}"
        async with self._db.read() as connection:
            told = {str(kernel.get("id")): {**kernel, "scope": scope} for kernel in kernels}
            known = await queries.list_by_ids(connection, told)
            alive = await queries.list_alive(connection, row["workspace_id"])
        foreign = {kernel_id for kernel_id, kernel in known.items() if kernel["scope"] != scope}
        for kernel_id in told.keys() - known.keys():
            if is_kernel_id(kernel_id):
                path = told[kernel_id].get("path")
                wish = Wish(str(told[kernel_id].get("spec") or ""), str(path) if path else None, kernel_id=kernel_id)
                try:
                    await self._add(who, row, wish, runs=True)
                except LimitReached:
                    # It may well run: it is left alone, and not counted.
                    foreign.add(kernel_id)
        unwanted = await self._reports.report(
            [kernel for kernel_id, kernel in told.items() if kernel_id not in foreign], launch=scope
        )
        for kernel in alive:
            if kernel["scope"] == scope and kernel["id"] not in told and self._is_sure(kernel):
                await self._reports.end(kernel["id"], CONCLUDED, "It ended, and nobody saw how.", self._clock.now())
        return unwanted

    async def _add(self, who: Principal, row: RowMapping, wish: Wish, *, runs: bool) -> None:
        specs = await asyncio.to_thread(self._ground.specs, row["workspace_id"])
        async with self._db.write(durable=False) as tx:
            row = await self._find(tx.connection, who, row["id"])
            if row["state"] not in _RUNNING or row["handle_launch"] is None:
                raise Conflict("session-not-running", "The session does not run.", hint="Start it again.")
            spec = specs.get(wish.spec_name or "")
            await self._rows.add_to_session(tx, who, row, wish, spec, runs=runs)

    def _is_sure(self, kernel: RowMapping) -> bool:
        since: datetime = kernel["started_at"] or kernel["created_at"]
        return self._clock.now() - since > _SURE_AFTER

    async def _find(self, connection: AsyncConnection, who: Principal, session_id: str) -> RowMapping:
        row = await session_queries.find(connection, session_id) if who.session_id == session_id else None
        if row is None:
            raise not_found(session_id)
        return row

    async def _is_theirs(self, who: Principal, session_id: str, kernel_id: str) -> bool:
        async with self._db.read() as connection:
            await self._find(connection, who, session_id)
            row = await queries.find(connection, kernel_id)
        return row is not None and row["session_id"] == session_id
