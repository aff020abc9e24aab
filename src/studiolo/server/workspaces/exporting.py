"""A workspace as one archive: its files and what describes it, written while they are sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from sqlalchemy import RowMapping

from studiolo import __version__
from studiolo.contract.archives import DESCRIPTION, ArchivedMember, ArchivedPolicy, WorkspaceArchive
from studiolo.contract.operations import Role
from studiolo.files.archives import write_zip
from studiolo.files.root import Root
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database
from studiolo.kit.piping import Pipe, piped
from studiolo.server.principal import Principal
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.archived_policies import ArchivedPolicies
from studiolo.server.workspaces.config_file import write_config_file
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.packages import list_packages
from studiolo.server.workspaces.register import Register, config_of


class Exports:
    """Makes archives."""

    def __init__(self, db: Database, clock: Clock, folders: Folders, register: Register) -> None:
        self._db = db
        self._clock = clock
        self._folders = folders
        self._register = register
        self.policies: ArchivedPolicies | None = None
        # Returns the lock of a workspace's environment, "" where there is none yet; set by the composition root.
        self.find_lock: Callable[[str], Awaitable[str]] = _no_lock

    async def archive(self, who: Principal, reference: str) -> tuple[str, AsyncIterator[bytes]]:
        """Return a workspace's name and its archive in pieces. Links and what cannot be read are left out, and named.

        Raises NotFound (`folder-not-found`) if its folder is gone.
        """
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "workspace.archive")
            # The addresses of others are for those who let them in.
            members = await queries.list_addresses(connection, row["id"]) if row["role"] == Role.OWNER else []
            policies = await self.policies.to_archive(connection, row["id"]) if self.policies is not None else []
        lock = await self.find_lock(row["id"])
        description = await asyncio.to_thread(self._describe, row, members, policies, lock)
        root = await asyncio.to_thread(Root, self._folders.here(row))

        def write(pipe: Pipe) -> None:
            with root:
                write_zip(root, [""], pipe, also={DESCRIPTION: description.model_dump_json(indent=2).encode()})

        return row["name"], piped(write)

    def _describe(
        self, row: RowMapping, members: list[RowMapping], policies: list[ArchivedPolicy], lock: str
    ) -> WorkspaceArchive:
        packages = list_packages(self._folders.environment(row["id"]))
        return WorkspaceArchive(
            exported_at=self._clock.now(),
            version=__version__,
            name=row["name"],
            description=row["description"],
            config_file=write_config_file(config_of(row)),
            lock=lock,
            packages=[f"{package['name']}=={package['version']}" for package in packages if not package["base"]],
            members=[ArchivedMember(email=member["email"], role=Role(member["role"])) for member in members],
            policies=policies,
        )


async def _no_lock(workspace_id: str) -> str:
    return ""
