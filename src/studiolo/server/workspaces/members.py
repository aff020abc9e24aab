"""Who has access to a workspace, and whose it is."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.details import Transfer
from studiolo.contract.errors import Conflict, NotFound
from studiolo.contract.models import Member, MemberSet, PersonRef, Workspace
from studiolo.contract.operations import Role
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts.service import Accounts
from studiolo.server.principal import Principal
from studiolo.server.workspaces import queries
from studiolo.server.workspaces.access import Access
from studiolo.server.workspaces.register import Register, already_exists

# Tells a person something within a transaction: person, kind, text, link.
Tell = Callable[[Transaction, str, str, str, str], Awaitable[None]]


class Members:
    """People and their roles on workspaces. `tell`: set by the composition root."""

    def __init__(self, db: Database, clock: Clock, accounts: Accounts, access: Access, register: Register) -> None:
        self._db = db
        self._clock = clock
        self._accounts = accounts
        self._access = access
        self._register = register
        self.tell: Tell = _tell_nobody

    async def list_members(self, who: Principal, reference: str) -> list[Member]:
        """Return who has access, by name."""
        async with self._db.read() as connection:
            row = await self._register.resolve(connection, who, reference, "member.list")
            there = await self._register.sessions.last_there(connection, row["id"])
            return [
                member_wire(member, there.get(member["id"]))
                for member in await queries.list_members(connection, row["id"])
            ]

    async def set_member(self, who: Principal, reference: str, form: MemberSet) -> Member:
        """Give somebody a role or change it; an owner is left (`last-owner`)."""
        async with self._db.write() as tx:
            row = await self._register.resolve_to_change(tx, who, reference, "member.set")
            person = await self._accounts.find_person(tx.connection, form.person)
            await queries.set_member(
                tx.connection,
                row["id"],
                person.id,
                form.role,
                self._clock.now(),
                through="given",
                given_by=who.person_id or None,
            )
            await self._check_owner_left(tx, row)
            if not form.role.includes(Role.EDITOR):
                await self._register.sessions.stop_all(tx, who, row["id"], person_id=person.id)
            await self._register.change(tx, who, row, "member.set", {}, person=person.name, role=form.role.value)
            tx.after_commit(self._access.forget)
            found = await queries.list_members(tx.connection, row["id"])
            return next(member_wire(member) for member in found if member["id"] == person.id)

    async def remove_member(self, who: Principal, reference: str, person: str) -> None:
        """Take somebody's access away; anybody may leave by themselves. Raises NotFound (`member-not-found`)."""
        async with self._db.write() as tx:
            leaving = await self._is_self(tx.connection, who, person)
            operation = "member.list" if leaving else "member.remove"
            row = await self._register.resolve_to_change(tx, who, reference, operation)
            found = await self._accounts.find_person(tx.connection, person, even_suspended=True)
            if leaving:
                who.require("member.remove")
            if found.id == row["owner_id"]:
                raise Conflict(
                    "last-owner",
                    f"{row['name']!r} stands in the name of {found.name}, who stays in it.",
                    hint=f"Hand it over first: studiolo transfer {row['name']} PERSON",
                )
            if not await queries.remove_member(tx.connection, row["id"], found.id):
                raise NotFound("member-not-found", f"{found.name!r} is no member of {row['name']!r}.")
            await self._check_owner_left(tx, row)
            await self._register.sessions.stop_all(tx, who, row["id"], person_id=found.id)
            await self._register.change(tx, who, row, "member.remove", {}, person=found.name)
            tx.after_commit(self._access.forget)

    async def transfer(
        self, who: Principal, reference: str, form: Transfer, *, revision: int | None = None
    ) -> Workspace:
        """Make another member the owner; the old one stays as editor and old addresses lead to the new one.

        Raises NotFound (`person-not-found`, `member-not-found`), Conflict (`workspace-exists`).
        """
        try:
            async with self._db.write() as tx:
                row = await self._register.resolve_to_change(
                    tx, who, reference, "workspace.transfer", revision=revision
                )
                person = await self._accounts.find_person(tx.connection, form.person)
                if await queries.find_role(tx.connection, person.id, row["id"]) is None:
                    raise NotFound(
                        "member-not-found",
                        f"{person.name!r} is no member of {row['name']!r} and cannot become its owner.",
                        hint=f"Give them a role first: "
                        f"studiolo access {row['name']} --user {person.name} --role editor",
                    )
                if person.id != row["owner_id"]:
                    await self.hand_over(tx, who, row, person, name=row["name"])
                return await self._register.wire(tx.connection, who, row["id"])
        except IntegrityError as exc:
            raise already_exists(row["name"], of=f"{person.name} has") from exc

    async def hand_over(
        self, tx: Transaction, who: Principal, row: RowMapping, person: PersonRef, *, name: str
    ) -> None:
        """Make a person owner of a workspace, under `name`, in the caller's transaction; the old owner is editor."""
        now = self._clock.now()
        await queries.set_member(
            tx.connection,
            row["id"],
            person.id,
            Role.OWNER,
            now,
            through="handed-over",
            given_by=who.person_id or None,
        )
        await queries.set_member(tx.connection, row["id"], row["owner_id"], Role.EDITOR, now, through="created")
        await queries.free_name(tx.connection, person.id, name)
        await queries.add_former_name(tx.connection, row["owner_id"], row["name"], row["id"], now)
        changes = {"owner_id": person.id, "name": name}
        await self._register.change(tx, who, row, "workspace.transfer", changes, person=person.name)
        if person.id != who.person_id:
            text = f"{who.display_name} made you the owner of the workspace {name}."
            await self.tell(tx, person.id, "workspace.handed-over", text, f"/w/{row['id']}")
        tx.after_commit(self._access.forget)

    async def _is_self(self, connection: AsyncConnection, who: Principal, person: str) -> bool:
        found = await self._accounts.find_person(connection, person, even_suspended=True)
        return found.id == who.person_id

    async def _check_owner_left(self, tx: Transaction, row: RowMapping) -> None:
        if not await queries.count_owners(tx.connection, row["id"]):
            raise Conflict(
                "last-owner",
                f"{row['name']!r} would have no owner left.",
                hint="Make somebody else owner first.",
            )


async def _tell_nobody(tx: Transaction, person_id: str, kind: str, text: str, link: str) -> None:
    pass


def member_wire(row: RowMapping, last_there_at: datetime | None = None) -> Member:
    """Return a member's row as others see it."""
    person = PersonRef(id=row["id"], name=row["name"], display_name=row["display_name"])
    given_by = None
    if row["giver_name"] is not None:
        given_by = PersonRef(id=row["given_by"], name=row["giver_name"], display_name=row["giver_display_name"])
    return Member(
        person=person,
        role=Role(row["role"]),
        since=row["since"],
        through=row["through"],
        given_by=given_by,
        last_there_at=last_there_at,
        suspended=row["disabled_at"] is not None,
    )
