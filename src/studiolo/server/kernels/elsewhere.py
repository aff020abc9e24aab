"""Headless kernels on other engines: where a kernel is to run, its start there, and those that run (decision 013)."""

import asyncio
from functools import partial
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict, InvalidInput, NotFound, StudioloError, Unavailable
from studiolo.contract.models import SessionState
from studiolo.engines.base import HostsKernels
from studiolo.gateway.base import Caller, Wish
from studiolo.gateway.hosted import isoformat
from studiolo.gateway.offers.specs import DEFAULT
from studiolo.kit.db import Database
from studiolo.packages.clients.sources import without_sources
from studiolo.server.engines.engines import Engines
from studiolo.server.kernels import queries
from studiolo.server.kernels.admission import KernelAdmission
from studiolo.server.kernels.callers import ALL, caller_header
from studiolo.server.kernels.grounds import Ground
from studiolo.server.kernels.host import KernelHost
from studiolo.server.kernels.hosts import KernelHosts
from studiolo.server.kernels.reports import HostReports
from studiolo.server.kernels.rows import KernelRows
from studiolo.server.kernels.wishes import Wanted
from studiolo.server.principal import Principal
from studiolo.server.sessions import queries as session_queries
from studiolo.server.sessions.admission import amounts
from studiolo.server.sessions.kernel_workloads import KernelWorkloads

# The first kernel of a place may wait for its kernel server.
_START_SECONDS = 30.0


class KernelsElsewhere:
    """Starts kernels in the places that `KernelWorkloads` finds; from there they are as the kernels of sessions."""

    def __init__(
        self,
        db: Database,
        engines: Engines,
        workloads: KernelWorkloads,
        hosts: KernelHosts,
        admission: KernelAdmission,
        rows: KernelRows,
        reports: HostReports,
        ground: Ground,
    ) -> None:
        self._db = db
        self._engines = engines
        self._workloads = workloads
        self._hosts = hosts
        self._admission = admission
        self._rows = rows
        self._reports = reports
        self._ground = ground

    def engine_of(self, config: dict[str, Any] | None) -> str:
        """Return the engine on which a workspace's headless kernels run that ask for none."""
        return (config or {}).get("engine") or self._engines.default

    async def choose(
        self, connection: AsyncConnection, workspace: RowMapping, wish: Wish, wanted: Wanted
    ) -> str | None:
        """Return the engine of a kernel that is to start elsewhere; None: it starts here.

        Raises InvalidInput (`engine-unknown`, `engine-storage`, `isolation-too-low`, `engine-without-kernels`,
        `kernel-elsewhere`).
        """
        config = workspace["config"] or {}
        engine = self._engines.choose_for(wanted.engine, config.get("engine"), config.get("min_isolation"))
        if engine == self._engines.here:
            return None
        known = (await queries.list_by_ids(connection, [str(wish.kernel_id)])).get(str(wish.kernel_id))
        if known is not None and known["scope"] == workspace["id"]:
            # It ended here, and is started anew where its journal is.
            return None
        if not isinstance(self._engines.of(engine), HostsKernels):
            raise self._cannot(engine)
        if wish.only_here:
            raise InvalidInput(
                "kernel-elsewhere",
                f"Kernels of this workspace run on {engine}, where no notebook can be joined to one from here.",
                hint="Start the kernel alone (POST api/kernels), or open a session.",
            )
        return engine

    async def start(
        self, who: Principal, workspace: RowMapping, wish: Wish, wanted: Wanted, engine: str
    ) -> dict[str, Any]:
        """Start a kernel and return it as Jupyter's API shows it; asked again with its id, the same kernel.

        Raises LimitReached, InvalidInput, Conflict (`kernel-exists`, `workspace-moving`), NotFound
        (`kernelspec-not-found`), Unavailable (`kernel-place-pending`, `kernel-not-started`, …).
        """
        asked = amounts(wanted.profile, wanted.resources)
        check = partial(self._admission.check_places, person_id=who.person_id)
        session = await self._workloads.want(who, workspace["id"], engine, asked, check=check)
        row = await self._workloads.await_running(session)
        host = await self._hosts.of_session(row)
        if host is None:
            raise Unavailable("kernel-host-unavailable", f"The place on {engine} does not answer.", retry_after=5)
        specs = await asyncio.to_thread(self._ground.specs, workspace["id"])
        async with self._db.write() as tx:
            now = await session_queries.find(tx.connection, row["id"])
            if now is None or now["state"] != SessionState.RUNNING or now["handle_launch"] != row["handle_launch"]:
                raise Unavailable("kernel-place-pending", f"The place on {engine} has just ended.", retry_after=1)
            is_new = await self._rows.add_to_session(tx, who, now, wish, specs.get(wish.spec_name or DEFAULT))
            await self._workloads.keep(tx, row["id"])
        model = None if is_new else await self._find(who, row, host, wish)
        model = model or await self._begin(who, row, host, wish, wanted)
        return {**model, "metadata": _where(engine, workspace["id"])}

    async def list_(self, who: Principal, caller: Caller) -> list[dict[str, Any]]:
        """Return a person's kernels elsewhere as Jupyter's API shows them: of a workspace, at the root of all."""
        workspace_id = who.workspace_id if caller.prefix == "/" else caller.scope
        async with self._db.read() as connection:
            rows = await queries.list_elsewhere(connection, who.person_id, workspace_id)
        return [_model(row) for row in rows]

    async def _begin(
        self, who: Principal, row: RowMapping, host: KernelHost, wish: Wish, wanted: Wanted
    ) -> dict[str, Any]:
        body = {
            "name": wish.spec_name,
            "path": wish.path,
            "env": without_sources(wanted.variables),
            "kernel_id": wish.kernel_id,
        }
        body = {name: value for name, value in body.items() if value is not None}
        try:
            model = await self._ask(who, row, host, "POST", "", body)
        except StudioloError as exc:
            if exc.code != "kernel-host-unavailable":
                # Without an answer it may have started: a report tells.
                await self._reports.started(str(wish.kernel_id), ok=False, message=exc.message)
            raise
        await self._reports.started(str(wish.kernel_id), ok=True, message="")
        return model

    async def _find(self, who: Principal, row: RowMapping, host: KernelHost, wish: Wish) -> dict[str, Any] | None:
        try:
            return await self._ask(who, row, host, "GET", f"/{wish.kernel_id}")
        except NotFound:
            return None

    async def _ask(
        self, who: Principal, row: RowMapping, host: KernelHost, method: str, path: str, body: Any = None
    ) -> dict[str, Any]:
        prefix = f"/s/{row['id']}/"
        caller = caller_header(who, scope=f"{row['id']}.{row['handle_launch']}", rights=ALL, prefix=prefix)
        path = f"{prefix}api/kernels{path}"
        found = await host.ask(method, path, caller=caller, body=body, seconds=_START_SECONDS)
        if not isinstance(found, dict):
            raise Conflict("kernel-not-started", "The place's answer is not understood.")
        return found

    def _cannot(self, engine: str) -> InvalidInput:
        able = [
            name
            for name in self._engines.usable
            if name == self._engines.here or isinstance(self._engines.of(name), HostsKernels)
        ]
        return InvalidInput(
            "engine-without-kernels",
            f"The engine {engine} runs kernels within sessions only.",
            hint=f"Start a session there, or choose another engine: {', '.join(able) or 'there is none'}.",
            candidates=able,
        )


def _where(engine: str, workspace_id: str) -> dict[str, Any]:
    return {"studiolo": {"engine": engine, "workspace": workspace_id}}


def _model(row: RowMapping) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["spec"],
        "last_activity": isoformat(row["last_active_at"] or row["started_at"] or row["created_at"]),
        "execution_state": row["state"],
        "connections": row["connections"],
        "metadata": _where(row["session_engine"], row["workspace_id"]),
    }
