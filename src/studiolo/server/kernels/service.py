"""Use cases of kernels as people see them: list, start, look at, interrupt, restart, stop, read output and log."""

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from sqlalchemy import RowMapping

from studiolo.contract.errors import Conflict, StudioloError
from studiolo.contract.kernels import (
    KernelInfo,
    KernelLog,
    KernelOutput,
    KernelSpecCreate,
    KernelSpecInfo,
    KernelStart,
)
from studiolo.contract.models import Page
from studiolo.contract.operations import Role
from studiolo.gateway.offers.environments import hash_of
from studiolo.kit.clock import Clock
from studiolo.kit.cursors import read_time_cursor, write_cursor
from studiolo.kit.db import Database, Transaction
from studiolo.server.audit.service import Audit
from studiolo.server.kernels import queries
from studiolo.server.kernels.callers import ALL, SEE, caller_header, rights_of
from studiolo.server.kernels.hosts import KernelHosts
from studiolo.server.kernels.lookup import KernelLookup
from studiolo.server.kernels.wire import kernel_wire
from studiolo.server.kernels.wishes import as_variables, read_wanted
from studiolo.server.principal import Principal
from studiolo.server.sessions.service import Sessions
from studiolo.server.workspaces.service import Workspaces

MAX_PAGE = 200
MAX_WAIT_SECONDS = 60.0
# A start waits for an environment that is made first.
_START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Unread:
    """A kernel that put something out while nobody was connected: what comes `after` this number of its journal."""

    kernel: KernelInfo
    after: int


class Kernels:
    """Kernels of workspaces and of the sessions in them."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        workspaces: Workspaces,
        sessions: Sessions,
        lookup: KernelLookup,
        audit: Audit,
        hosts: KernelHosts,
        *,
        address: str,
        here: str,
    ) -> None:
        self._db = db
        self._clock = clock
        self._workspaces = workspaces
        self._sessions = sessions
        self._lookup = lookup
        self._audit = audit
        self._hosts = hosts
        self._address = address
        self._here = here

    async def list_(
        self,
        who: Principal,
        *,
        workspace: str | None = None,
        session: str | None = None,
        states: Iterable[str] = (),
        everything: bool = False,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[KernelInfo]:
        """Return a page, newest first: the caller's own, a workspace's, a session's, or (`everything`) all they see.

        Those that ended are listed where `states` has `ended` only.
        """
        limit = max(1, min(limit, MAX_PAGE))
        rows = await self._list_rows(
            who,
            workspace=workspace,
            session=session,
            states=states,
            everything=everything,
            cursor=cursor,
            limit=limit + 1,
        )
        items = [self._wire(row) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(items=items, next_cursor=write_cursor(last["created_at"].isoformat(), last["id"]) if last else None)

    async def _list_rows(
        self,
        who: Principal,
        *,
        workspace: str | None,
        limit: int,
        session: str | None = None,
        states: Iterable[str] = (),
        everything: bool = False,
        cursor: str | None = None,
    ) -> list[RowMapping]:
        who.require("kernel.list")
        before = read_time_cursor(cursor)
        async with self._db.read() as connection:
            workspace_id, session_id = who.workspace_id, None
            if workspace is not None:
                workspace_id = (await self._workspaces.resolve(connection, who, workspace, "kernel.read"))["id"]
            if session is not None:
                session_id = (await self._sessions.resolve(connection, who, session, "session.read"))["id"]
            is_narrowed = workspace_id is not None or session_id is not None
            return await queries.list_page(
                connection,
                member_id=None if who.is_admin else who.person_id,
                person_id=None if everything or is_narrowed else who.person_id,
                workspace_id=workspace_id,
                session_id=session_id,
                states=states,
                before=before,
                limit=limit,
            )

    async def get(self, who: Principal, kernel_id: str) -> KernelInfo:
        """Return one kernel. Raises NotFound (`kernel-not-found`)."""
        async with self._db.read() as connection:
            return self._wire(await self._lookup.resolve(connection, who, kernel_id, "kernel.read"))

    async def start(self, who: Principal, form: KernelStart) -> KernelInfo:
        """Start a headless kernel, where the form or its workspace says, and return it once it runs.

        Raises NotFound (`workspace-not-found`, `kernelspec-not-found`), InvalidInput (`path-invalid`, …),
        LimitReached (`too-many-kernels`, `limit-exceeded`, `capacity-exceeded`), Unavailable
        (`environment-not-ready`, `kernel-not-started`, `kernel-host-unavailable`; `kernel-place-pending` while its
        place on another engine is not there).
        """
        who.require("kernel.start")
        async with self._db.read() as connection:
            workspace = await self._workspaces.resolve(connection, who, form.workspace, "kernel.start")
        caller = self._caller(who, workspace["id"], ALL)
        body = {"name": form.name, "path": form.path, "env": as_variables(form)}
        body = {name: value for name, value in body.items() if value is not None}
        path = f"/w/{workspace['id']}/api/kernels"
        made = await self._hosts.here.ask("POST", path, caller=caller, body=body, seconds=_START_SECONDS)
        return await self.get(who, made["id"])

    async def stop(self, who: Principal, kernel_id: str) -> KernelInfo:
        """Stop a kernel and all that it started; stopping one that ended is success."""
        async with self._db.write() as tx:
            row = await self._lookup.resolve(tx.connection, who, kernel_id, "kernel.stop")
            if row["ended_at"] is None:
                reason = {"code": "stopped-by-person", "by": who.display_name}
                await queries.update_kernel(tx.connection, row["id"], stop_reason=reason)
                await self._record(tx, who, "kernel.stop", row)
        if row["ended_at"] is None:
            await (await self._hosts.of_kernels(row["session_id"])).tell(f"kernels/{row['id']}/stop")
        return await self.get(who, row["id"])

    async def interrupt(self, who: Principal, kernel_id: str) -> KernelInfo:
        """Interrupt what a kernel runs. Raises Conflict (`kernel-ended`)."""
        return await self._deal(who, kernel_id, "interrupt")

    async def restart(self, who: Principal, kernel_id: str) -> KernelInfo:
        """Start a kernel anew under its id; its variables are gone. Raises Conflict (`kernel-ended`)."""
        return await self._deal(who, kernel_id, "restart")

    async def log(self, who: Principal, kernel_id: str, *, lines: int = 200) -> KernelLog:
        """Return the last lines that a kernel's process itself wrote."""
        found = await self._read(who, kernel_id, "kernel.log", "log", {"lines": lines})
        return KernelLog.model_validate(found)

    async def output(
        self, who: Principal, kernel_id: str, *, after: int = 0, wait_seconds: float = 0, cell: str | None = None
    ) -> KernelOutput:
        """Return a stretch of a kernel's journal: what comes after a number, of one cell or all."""
        # Hosts count whole seconds.
        params: dict[str, Any] = {"after": after, "wait": math.ceil(min(wait_seconds, MAX_WAIT_SECONDS))}
        if cell is not None:
            params["cell"] = cell
        found = await self._read(who, kernel_id, "kernel.output", "journal", params)
        return KernelOutput.model_validate(found)

    async def cells(self, who: Principal, kernel_id: str, *, after: int = 0) -> dict[str, dict[str, Any]]:
        """Return, by cell, what those of its notebook that ran since a number put out (docs/decisions/005: cells)."""
        found = await self._read(who, kernel_id, "kernel.output", "cells", {"after": after})
        return dict(found["cells"])

    async def list_unread(self, who: Principal, *, workspace: str | None = None) -> list[Unread]:
        """Return the kernels, own or a workspace's, that put something out while nobody was connected.

        Only those whose output the caller may read. Where a host does not answer there are none: it is a hint.
        """
        rows = await self._list_rows(who, workspace=workspace, limit=MAX_PAGE)
        left = {row["id"]: row for row in rows if row["path"] and row["output"] and not row["connections"]}
        if not left:
            return []
        told: dict[str, int | None] = {}
        for host in await self._hosts.of_all(row["session_id"] for row in left.values()):
            with suppress(StudioloError):
                told |= {kernel["id"]: kernel.get("unread_after") for kernel in await host.list_kernels()}
        return [
            Unread(self._wire(row), after)
            for row in left.values()
            if (after := told.get(row["id"])) is not None
            and (row["session_id"] is None or row["person_id"] == who.person_id)
        ]

    async def insert_output(self, who: Principal, kernel_id: str) -> None:
        """Have what its cells put out written into its notebook, now.

        Raises Conflict (`notebook-open`, `notebook-changed`), InvalidInput (`notebook-unusable`).
        """
        async with self._db.read() as connection:
            row = await self._lookup.resolve(connection, who, kernel_id, "kernel.execute")
        prefix = f"/s/{row['session_id']}/" if row["session_id"] else f"/w/{row['workspace_id']}/"
        caller = caller_header(who, scope=row["scope"], rights=ALL, prefix=prefix)
        host = await self._hosts.of_kernels(row["session_id"])
        await host.ask("POST", f"{prefix}api/kernels/{row['id']}/notebook", caller=caller, body={})

    async def specs(self, who: Principal, workspace: str) -> list[KernelSpecInfo]:
        """Return the kernelspecs that a workspace offers, the default first."""
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, workspace, "kernel.specs")
        caller = self._caller(who, row["id"], rights_of(Role(row["role"])) if row["role"] else SEE)
        found = await self._hosts.here.ask("GET", f"/w/{row['id']}/api/kernelspecs", caller=caller)
        specs = [_spec(name, spec["spec"], found["default"]) for name, spec in found["kernelspecs"].items()]
        return sorted(specs, key=lambda spec: (not spec.is_default, spec.name))

    async def create_spec(self, who: Principal, workspace: str, form: KernelSpecCreate) -> KernelSpecInfo:
        """Offer another kernelspec in a workspace, made from one that is there.

        Raises InvalidInput (`name-invalid`), NotFound (`kernelspec-not-found`), Conflict (`kernelspec-exists`).
        """
        amounts = {
            name: str(value) for name, value in (("cpu", form.cpu), ("memory", form.memory)) if value is not None
        }
        body = form.model_dump(include={"name", "base", "display_name", "metadata"}, exclude_none=True)
        # As of a start: what steers programs before a kernel's own code is left out, and who somebody is.
        body |= {"env": dict(read_wanted(form.variables).variables), "resources": amounts}
        made = await self._change_specs(who, workspace, "kernelspec.create", form.name, "POST", body)
        return _spec(made["name"], made["spec"], default="")

    async def remove_spec(self, who: Principal, workspace: str, name: str) -> None:
        """Offer a kernelspec that was made no longer; its kernels run on. Raises NotFound (`kernelspec-not-found`)."""
        await self._change_specs(who, workspace, "kernelspec.remove", name, "DELETE")

    async def _change_specs(
        self, who: Principal, workspace: str, operation: str, name: str, method: str, body: Any = None
    ) -> Any:
        async with self._db.read() as connection:
            row = await self._workspaces.resolve(connection, who, workspace, operation)
        place = f"/w/{row['id']}/studiolo/kernelspecs"
        path = place if method == "POST" else f"{place}/{quote(name, safe='')}"
        ask = partial(self._hosts.here.ask, method, path, caller=self._caller(who, row["id"], ALL), body=body)
        # What the host refuses is no event; what it does has its event before.
        await ask(params={"check": 1})
        async with self._db.write() as tx:
            row = await self._workspaces.resolve(tx.connection, who, row["id"], operation)
            await self._audit.record(tx, who, operation, row["name"], workspace_id=row["id"], spec=name)
        made = await ask()
        self._audit.live.publish(("kernels", f"workspace:{row['id']}"), workspace_id=row["id"])
        return made

    async def _deal(self, who: Principal, kernel_id: str, verb: str) -> KernelInfo:
        async with self._db.write() as tx:
            row = await self._lookup.resolve(tx.connection, who, kernel_id, f"kernel.{verb}")
            if row["ended_at"] is not None:
                words = (row["reason"] or {}).get("message") or "It has ended."
                raise Conflict("kernel-ended", f"The kernel has ended. {words}", hint="Start another one.")
            await self._record(tx, who, f"kernel.{verb}", row)
        await (await self._hosts.of_kernels(row["session_id"])).tell(f"kernels/{row['id']}/{verb}")
        return await self.get(who, row["id"])

    async def _read(self, who: Principal, kernel_id: str, operation: str, what: str, params: dict[str, Any]) -> Any:
        async with self._db.read() as connection:
            row = await self._lookup.resolve(connection, who, kernel_id, operation)
        prefix = f"/s/{row['session_id']}/" if row["session_id"] else f"/w/{row['workspace_id']}/"
        caller = caller_header(who, scope=row["scope"], rights=SEE, prefix=prefix)
        seconds = 10.0 + float(params.get("wait", 0))
        path = f"{prefix}api/kernels/{row['id']}/{what}"
        host = await self._hosts.of_kernels(row["session_id"])
        return await host.ask("GET", path, caller=caller, params=params, seconds=seconds)

    async def _record(self, tx: Transaction, who: Principal, action: str, row: RowMapping) -> None:
        topics = ("home", "kernels", f"workspace:{row['workspace_id']}")
        await self._audit.record(
            tx, who, action, row["display_name"], workspace_id=row["workspace_id"], topics=topics, kernel=row["id"]
        )

    def _caller(self, who: Principal, workspace_id: str, rights: Iterable[str]) -> str:
        return caller_header(who, scope=workspace_id, rights=rights, prefix=f"/w/{workspace_id}/")

    def _wire(self, row: RowMapping) -> KernelInfo:
        return kernel_wire(row, address=self._address, here=self._here)


def _spec(name: str, spec: dict[str, Any], default: str) -> KernelSpecInfo:
    metadata = spec.get("metadata") or {}
    return KernelSpecInfo(
        name=name,
        display_name=spec.get("display_name") or name,
        language=spec.get("language") or "",
        environment=hash_of(metadata),
        metadata=metadata,
        is_default=name == default,
        base=(metadata.get("studiolo") or {}).get("base"),
    )
