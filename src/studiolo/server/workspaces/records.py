"""What is known about a workspace beside its files: metadata, export, figures, report."""

import asyncio
from typing import Any

from sqlalchemy import RowMapping

from studiolo.contract.details import ExecutionRecord, WorkspaceExport, WorkspaceMetadata, WorkspaceStats
from studiolo.contract.models import PersonRef
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.server.principal import Principal
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.config_file import write_config_file
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.members import member_wire
from studiolo.server.workspaces.packages import list_packages
from studiolo.server.workspaces.register import Register, config_of
from studiolo.server.workspaces.report import write_report


class Records:
    """Reads only."""

    def __init__(self, db: Database, clock: Clock, folders: Folders, register: Register) -> None:
        self._db = db
        self._clock = clock
        self._folders = folders
        self._register = register

    async def metadata(self, who: Principal, reference: str) -> WorkspaceMetadata:
        """Return everything that is known: dates, experiments, use, packages, notebooks that were run."""
        row, usage, executions = await self._look(who, reference, "workspace.read")
        return await self._metadata(row, usage, executions)

    async def export(self, who: Principal, reference: str) -> WorkspaceExport:
        """Return the description for another platform: metadata, members, configuration; no files, no secrets."""
        row, usage, executions = await self._look(who, reference, "workspace.export")
        async with self._db.read() as connection:
            members = [member_wire(member) for member in await queries.list_members(connection, row["id"])]
        return WorkspaceExport(
            exported_at=self._clock.now(),
            metadata=await self._metadata(row, usage, executions),
            members=members,
            config_file=write_config_file(config_of(row)),
        )

    async def stats(self, who: Principal, reference: str) -> WorkspaceStats:
        """Return what its sessions use now, and used."""
        row, usage, _ = await self._look(who, reference, "workspace.read")
        return WorkspaceStats(
            running_sessions=usage["running"],
            cpu=usage["cpu"],
            memory=usage["memory"],
            disk=await self._disk(row),
            kernels=usage["kernels"],
            busy_kernels=usage["busy_kernels"],
            session_hours=usage["session_hours"],
            launches=usage["launches"],
            since=usage["since"] or row["created_at"],
        )

    async def report(self, who: Principal, reference: str) -> str:
        """Return all of it as one HTML document that needs no other file."""
        return write_report(await self.export(who, reference))

    async def _look(
        self, who: Principal, reference: str, operation: str
    ) -> tuple[RowMapping, dict[str, Any], list[dict[str, Any]]]:
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, operation)
            usage = await self._register.sessions.usage_of_workspace(connection, row["id"])
            executions = await self._register.sessions.executions_of_workspace(connection, row["id"])
        return row, usage, executions

    async def _metadata(
        self, row: RowMapping, usage: dict[str, Any], executions: list[dict[str, Any]]
    ) -> WorkspaceMetadata:
        packages = await asyncio.to_thread(list_packages, self._folders.environment(row["id"]))
        return WorkspaceMetadata(
            id=row["id"],
            name=row["name"],
            owner=PersonRef(id=row["owner_id"], name=row["owner_name"], display_name=row["owner_display_name"]),
            description=row["description"],
            created_at=row["created_at"],
            modified_at=row["modified_at"],
            config=config_of(row),
            experiments=row["experiments"] or [],
            sessions=usage["launches"],
            usage=usage | {"disk": await self._disk(row)},
            packages=packages,
            executions=[ExecutionRecord.model_validate(execution) for execution in executions],
        )

    async def _disk(self, row: RowMapping) -> int | None:
        return await asyncio.to_thread(self._folders.measure, self._folders.of(row["id"], row["root"]))
