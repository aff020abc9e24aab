"""Use cases that end or change what a person may do: suspend, let back in, administrators, erase who has left."""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict, Denied, InvalidInput, NotFound
from studiolo.kit.clock import Clock
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts import queries
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.accounts.holdings import Holdings
from studiolo.server.audit.service import Audit
from studiolo.server.live import Live
from studiolo.server.principal import Principal

ERASED_DISPLAY_NAME = "Somebody who left"


class Suspension:
    """Who is suspended has no way in: no password, key or link counts, and what is open closes (promise S5).

    Logins and keys stay in the database until the person is let back in: whoever holds sockets of theirs finds them
    there, also after a kill in between (see `closing.Closer.look`). `holdings` is set once workspaces are built.
    """

    holdings: Holdings

    def __init__(self, db: Database, clock: Clock, authentication: Authentication, audit: Audit, live: Live) -> None:
        self._db = db
        self._clock = clock
        self._authentication = authentication
        self._audit = audit
        self._live = live
        # What else closes when logins and keys end; set by the composition root.
        self.on_ended: Callable[[str, set[str]], None] = lambda person_id, credentials: None
        # What others keep of a person who is erased, by id and display name; set by the composition root.
        self.also_forget: Sequence[Callable[[Transaction, str, str], Awaitable[None]]] = ()

    async def suspend(self, who: Principal, person: str) -> None:
        """Keep a person out; all they have running stops, what they own stays with its members. Repeatable.

        Raises NotFound (`person-not-found`), Denied (`own-account`), Conflict (`last-admin`).
        """
        who.require("person.suspend")
        async with self._db.write() as tx:
            row = await self._other(tx.connection, who, person)
            if row["disabled_at"] is None:
                await self._keep_out(tx, who, row)
                await self._audit.record(tx, who, "person.suspend", row["name"])

    async def reinstate(self, who: Principal, person: str) -> None:
        """Let a suspended person back in, by their password or a new link; earlier logins and keys stay dead."""
        who.require("person.suspend")
        async with self._db.write() as tx:
            row = await self._get(tx.connection, person)
            if row["disabled_at"] is None:
                return
            await queries.delete_credentials(tx.connection, row["id"])
            await queries.update_person(
                tx.connection, row["id"], disabled_at=None, failed_sign_ins=0, locked_until=None
            )
            await self._audit.record(tx, who, "person.reinstate", row["name"])
            tx.after_commit(self._authentication.forget)

    async def set_admin(self, who: Principal, person: str, is_admin: bool) -> None:
        """Make somebody administrator, or no longer. Raises Conflict (`last-admin`, `person-suspended`)."""
        who.require("person.promote")
        async with self._db.write() as tx:
            row = await self._get(tx.connection, person)
            if row["is_admin"] == is_admin:
                return
            if is_admin and row["disabled_at"] is not None:
                raise Conflict(
                    "person-suspended",
                    f"{row['name']} is suspended and cannot become administrator.",
                    hint=f"Let them back in first: studiolo people reinstate {row['name']}",
                )
            if not is_admin:
                await self._check_admin_left(tx.connection, row)
            await queries.update_person(tx.connection, row["id"], is_admin=is_admin)
            await self._audit.record(tx, who, "person.promote" if is_admin else "person.demote", row["name"])
            tx.after_commit(self._authentication.forget)

    async def erase(self, who: Principal, person: str, *, confirm: str) -> None:
        """Erase what is personal of somebody who left; `confirm` is their name. Nothing brings it back.

        Name, address and password go, as do memberships, keys, logins and their own settings; the record of changes
        stays whole and names them by a pseudonym. Raises Conflict (`owns-workspaces`, `last-admin`), Denied
        (`own-account`), InvalidInput (`confirmation-needed`), NotFound.
        """
        who.require("person.erase")
        async with self._db.write() as tx:
            row = await self._other(tx.connection, who, person)
            if confirm != row["name"]:
                raise InvalidInput(
                    "confirmation-needed",
                    f"Nothing brings an erased person back: confirm with the name, {row['name']!r}.",
                )
            if owned := await self.holdings.list_owned(tx.connection, row["id"]):
                raise Conflict(
                    "owns-workspaces",
                    f"{row['name']} still owns {', '.join(owned[:5])}{' and others' if len(owned) > 5 else ''}.",
                    hint=f"Hand them over first: studiolo people hand-over {row['name']} --to PERSON",
                )
            await self._keep_out(tx, who, row)
            await self.holdings.leave_all(tx, who, row["id"])
            await self._forget_person(tx, who, row)
            # Before the commit: after a kill in between, whoever asks again finds the person, and erases the rest.
            await self.holdings.erase_settings(row["id"])

    async def _forget_person(self, tx: Transaction, who: Principal, row: RowMapping) -> None:
        now, pseudonym = self._clock.now(), f"erased-{row['id'].partition('-')[2]}"
        await queries.update_person(
            tx.connection,
            row["id"],
            name=pseudonym,
            display_name=ERASED_DISPLAY_NAME,
            email=None,
            password_hash=None,
            is_admin=False,
            last_seen_at=None,
            disabled_at=now,
            erased_at=now,
        )
        await queries.delete_credentials(tx.connection, row["id"])
        for forget in self.also_forget:
            await forget(tx, row["id"], row["display_name"])
        await self._audit.forget_person(tx, row["id"], {row["name"], row["email"] or row["name"]}, pseudonym)
        await self._audit.record(tx, who, "person.erase", pseudonym)

    async def _keep_out(self, tx: Transaction, who: Principal, row: RowMapping) -> None:
        await self._check_admin_left(tx.connection, row)
        person_id: str = row["id"]
        await queries.update_person(tx.connection, person_id, disabled_at=row["disabled_at"] or self._clock.now())
        await queries.delete_links(tx.connection, person_id)
        ended = await queries.list_credentials(tx.connection, person_id)
        await self.holdings.stop_all(tx, who, person_id)
        tx.after_commit(self._authentication.forget)
        tx.after_commit(lambda: self._live.close_logins(ended))
        tx.after_commit(lambda: self.on_ended(person_id, ended))

    async def _other(self, connection: AsyncConnection, who: Principal, person: str) -> RowMapping:
        row = await self._get(connection, person)
        if row["id"] == who.person_id:
            raise Denied(
                "own-account",
                "Nobody suspends or erases themselves.",
                hint="Another administrator can.",
            )
        return row

    async def _get(self, connection: AsyncConnection, person: str) -> RowMapping:
        row = await queries.find_person(connection, person)
        if row is None:
            raise NotFound("person-not-found", f"There is no person {person[:64]!r}.", hint="studiolo people list")
        return row

    async def _check_admin_left(self, connection: AsyncConnection, row: RowMapping) -> None:
        if row["is_admin"] and not (await queries.list_admins(connection)) - {row["id"]}:
            raise Conflict(
                "last-admin",
                f"{row['name']} is the last administrator.",
                hint="Make somebody else administrator first.",
            )
