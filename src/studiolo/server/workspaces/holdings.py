"""What people hold in workspaces, taken together: joined by invitation, handed over, stopped, left behind."""

import asyncio
import shutil
from collections.abc import Iterable
from itertools import count

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import InvalidInput
from studiolo.contract.models import PersonRef, WorkspaceRef
from studiolo.contract.operations import Role
from studiolo.contract.people import HandedOver, HandedWorkspace
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts.service import Accounts
from studiolo.server.audit.service import Audit
from studiolo.server.principal import Principal
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.folders import Folders
from studiolo.server.workspaces.members import Members
from studiolo.server.workspaces.register import Register


class WorkspaceHoldings:
    """Implements `accounts.holdings.Holdings`, and hands over all that a person owns."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        accounts: Accounts,
        audit: Audit,
        access: Access,
        folders: Folders,
        register: Register,
        members: Members,
    ) -> None:
        self._db = db
        self._clock = clock
        self._accounts = accounts
        self._audit = audit
        self._access = access
        self._folders = folders
        self._register = register
        self._members = members

    async def find_to_share(self, connection: AsyncConnection, who: Principal, reference: str) -> WorkspaceRef:
        """Return a workspace in which the caller may give roles; raises NotFound, Denied."""
        return _ref(await self._register.resolve(connection, who, reference, "member.set"))

    async def list_refs(self, connection: AsyncConnection, ids: Iterable[str]) -> dict[str, WorkspaceRef]:
        """Return those workspaces that are still there, by id."""
        return {row["id"]: _ref(row) for row in await queries.list_by_id(connection, list(ids))}

    async def join(self, tx: Transaction, who: Principal, workspace_id: str, role: Role, *, given_by: str) -> None:
        """Make a newcomer member of a workspace, with its record; nothing if that is gone."""
        row = await queries.find_by_id(tx.connection, who.person_id, workspace_id)
        if row is None:
            return
        await queries.set_member(
            tx.connection,
            workspace_id,
            who.person_id,
            role,
            self._clock.now(),
            through="invitation",
            given_by=given_by or None,
        )
        giver = await queries.find_person_name(tx.connection, given_by)
        await self._register.change(tx, who, row, "member.join", {}, role=role.value, by=giver or "the operator")
        tx.after_commit(self._access.forget)

    async def stop_all(self, tx: Transaction, who: Principal, person_id: str) -> None:
        """Want all sessions and kernels of a person stopped: the person is suspended."""
        for workspace_id in await queries.list_ids_of_member(tx.connection, person_id):
            await self._register.sessions.stop_all(tx, who, workspace_id, person_id=person_id, code="person-suspended")

    async def list_owned(self, connection: AsyncConnection, person_id: str) -> list[str]:
        """Names of the workspaces whose owner a person is."""
        return [row["name"] for row in await queries.list_owned(connection, person_id)]

    async def leave_all(self, tx: Transaction, who: Principal, person_id: str) -> None:
        """Take a person's access to all workspaces away, each with its record."""
        for workspace_id in await queries.list_ids_of_member(tx.connection, person_id):
            row = await queries.find_by_id(tx.connection, who.person_id, workspace_id)
            member = await queries.find_person_name(tx.connection, person_id)
            await queries.remove_member(tx.connection, workspace_id, person_id)
            if row is not None:
                await self._register.change(tx, who, row, "member.remove", {}, person=member)
        tx.after_commit(self._access.forget)

    async def erase_settings(self, person_id: str) -> None:
        """Remove the files of a person's own: settings, tabs and history. Repeatable."""
        await asyncio.to_thread(shutil.rmtree, self._folders.of_person("", person_id), ignore_errors=True)

    async def hand_over(self, who: Principal, person: str, to: str) -> HandedOver:
        """Make somebody else owner of all workspaces that a person owns, at once; the old owner stays as editor.

        One whose name the new owner uses already gets a number; its old address leads to it. Raises NotFound
        (`person-not-found`), InvalidInput (`request-invalid`).
        """
        who.require("person.hand-over")
        async with self._db.write() as tx:
            giver = await self._accounts.find_person(tx.connection, person, even_suspended=True)
            taker = await self._accounts.find_person(tx.connection, to)
            if giver.id == taker.id:
                raise InvalidInput("request-invalid", f"{giver.name} owns that already.", hint="Name somebody else.")
            handed = []
            for found in await queries.list_owned(tx.connection, giver.id):
                await queries.lock(tx.connection, found["id"])
                row = await self._register.read(tx.connection, who, found["id"])
                name = await self._free_name(tx.connection, taker, row["name"])
                await self._members.hand_over(tx, who, row, taker, name=name)
                handed.append(HandedWorkspace(id=row["id"], name=name, former_name=row["name"]))
            await self._audit.record(
                tx, who, "person.hand-over", giver.name, person=taker.name, workspaces=[one.id for one in handed]
            )
        return HandedOver(person=giver, to=taker, workspaces=handed)

    async def _free_name(self, connection: AsyncConnection, owner: PersonRef, name: str) -> str:
        for number in count(2):
            if not await queries.is_name_taken(connection, owner.id, name):
                break
            suffix = f"-{number}"
            name = name.removesuffix(f"-{number - 1}")[: 63 - len(suffix)] + suffix
        return name


def _ref(row: RowMapping) -> WorkspaceRef:
    return WorkspaceRef(id=row["id"], name=row["name"], owner=row["owner_name"])
