"""Use cases of invitations: an administrator makes a one-time link, whoever opens it chooses name and password."""

from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.errors import Conflict, NotFound, StudioloError
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import KeyCreate, KeyCreated, Page, PersonCreate, PersonRef, WorkspaceRef
from studiolo.contract.names import check_name, suggest_name
from studiolo.contract.operations import Role
from studiolo.contract.people import (
    Granted,
    Invitation,
    InvitationCreate,
    InvitationLink,
    InvitationPreview,
    Join,
)
from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey, new_token
from studiolo.kit.cursors import read_time_cursor, write_cursor
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts import invitation_queries, queries
from studiolo.server.accounts.holdings import Holdings
from studiolo.server.accounts.keys import Keys
from studiolo.server.accounts.mail import Mail
from studiolo.server.accounts.newcomers import check_email, insert_newcomer
from studiolo.server.accounts.passwords import check_strength, hash_password
from studiolo.server.accounts.service import Accounts
from studiolo.server.audit.service import Audit
from studiolo.server.principal import Principal
from studiolo.server.settings.accounts import AccountSettings

_OPERATOR = "the operator"


class Invitations:
    """Links by which people join. `holdings` is set once workspaces are built; `address`: the platform's own."""

    holdings: Holdings

    def __init__(
        self,
        db: Database,
        clock: Clock,
        master: MasterKey,
        settings: AccountSettings,
        accounts: Accounts,
        keys: Keys,
        audit: Audit,
        mail: Mail,
        *,
        address: str,
        notice: str | None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._master = master
        self._settings = settings
        self._accounts = accounts
        self._keys = keys
        self._audit = audit
        self._mail = mail
        self._address = address
        self._notice = notice

    # For administrators

    async def list_(self, who: Principal, *, cursor: str | None = None, limit: int = 50) -> Page[Invitation]:
        """Return invitations that nobody has used yet, newest first."""
        who.require("invitation.list")
        async with self._db.read() as connection:
            rows = await invitation_queries.list_invitations(connection, read_time_cursor(cursor), limit + 1)
            items = [Invitation(**await self._wire(connection, row)) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(items=items, next_cursor=write_cursor(last["created_at"].isoformat(), last["id"]) if last else None)

    async def create(self, who: Principal, form: InvitationCreate) -> InvitationLink:
        """Make an invitation with its link, and send it where a mail server is set.

        Raises Conflict (`person-exists`), NotFound (`workspace-not-found`), InvalidInput (name or address).
        """
        who.require("invitation.create")
        by_mail = "@" in form.to
        to = check_email(form.to) if by_mail else check_name(form.to.strip(), what="person")
        token, now = new_token("sti"), self._clock.now()
        values: dict[str, Any] = {
            "id": new_id(IdKind.INVITATION),
            "token_hash": self._hash(token),
            "name": None if by_mail else to,
            "email": to if by_mail else None,
            "is_admin": form.is_admin,
            "invited_by": who.person_id or None,
            "created_at": now,
            "expires_at": now + self._settings.invitation_lifetime,
        }
        async with self._db.write() as tx:
            if await queries.find_person(tx.connection, to) is not None:
                raise _exists(to)
            found = [
                (await self.holdings.find_to_share(tx.connection, who, grant.workspace), grant.role)
                for grant in form.workspaces
            ]
            values["grants"] = [{"workspace_id": workspace.id, "role": role.value} for workspace, role in found]
            await invitation_queries.insert_invitation(tx.connection, values)
            await self._audit.record(tx, who, "invitation.create", to, is_admin=form.is_admin, grants=values["grants"])
        return await self._hand_out(who, values["id"], token)

    async def renew(self, who: Principal, invitation_id: str) -> InvitationLink:
        """Make a new link that counts from now on; the old one ends. Raises NotFound (`invitation-not-found`)."""
        who.require("invitation.renew")
        token, now = new_token("sti"), self._clock.now()
        async with self._db.write() as tx:
            row = await self._get(tx.connection, invitation_id)
            await invitation_queries.update_invitation(
                tx.connection,
                row["id"],
                token_hash=self._hash(token),
                invited_by=who.person_id or None,
                expires_at=now + self._settings.invitation_lifetime,
            )
            await self._audit.record(tx, who, "invitation.renew", _to(row))
        return await self._hand_out(who, row["id"], token)

    async def withdraw(self, who: Principal, invitation_id: str) -> None:
        """End an invitation. Raises NotFound (`invitation-not-found`)."""
        who.require("invitation.withdraw")
        async with self._db.write() as tx:
            row = await self._get(tx.connection, invitation_id)
            await invitation_queries.delete_invitation(tx.connection, row["id"])
            await self._audit.record(tx, who, "invitation.withdraw", _to(row))

    # For whoever opens the link

    async def preview(self, token: str) -> InvitationPreview:
        """Return what joining would bring; uses nothing up. Raises NotFound (`invitation-not-found`)."""
        async with self._db.read() as connection:
            row = await self._usable(connection, token)
            wire = await self._wire(connection, row)
        return InvitationPreview(
            name=row["name"] or suggest_name(row["email"].partition("@")[0]),
            invited_by=row["inviter_display_name"],
            expires_at=row["expires_at"],
            is_admin=row["is_admin"],
            workspaces=wire["workspaces"],
        )

    async def join_browser(self, form: Join, user_agent: str) -> str:
        """Use an invitation up and return a login's token for the cookie; raises as `join_program`."""
        person = await self._join(form)
        return await self._accounts.begin_login(person, user_agent)

    async def join_program(self, form: Join) -> KeyCreated:
        """Use an invitation up and return a key with all scopes.

        Raises NotFound (`invitation-not-found`), Conflict (`person-exists`), InvalidInput (name, `password-weak`).
        """
        return await self._keys.create_key(_principal(await self._join(form)), KeyCreate(name=form.key_name))

    async def _join(self, form: Join) -> dict[str, Any]:
        async with self._db.read() as connection:
            await self._usable(connection, form.token)
        check_name(form.name, what="person")
        check_strength(form.password, name=form.name, min_length=self._settings.password_min_length)
        password_hash = await hash_password(form.password)
        try:
            async with self._db.write() as tx:
                return await self._admit(tx, form, password_hash)
        except IntegrityError as exc:
            raise Conflict(
                "person-exists",
                f"Somebody here is called {form.name!r} already, or has the address that was invited.",
                hint="Choose another name.",
            ) from exc

    async def _admit(self, tx: Transaction, form: Join, password_hash: str) -> dict[str, Any]:
        row = await self._usable(tx.connection, form.token)
        if not await invitation_queries.delete_invitation(tx.connection, row["id"]):
            raise _not_found()
        newcomer = PersonCreate(
            name=form.name, display_name=form.display_name, email=row["email"], is_admin=row["is_admin"]
        )
        person = await insert_newcomer(tx, newcomer, self._clock.now(), password_hash=password_hash)
        who, by = _principal(person), row["inviter_name"] or _OPERATOR
        await self._audit.record(tx, who, "person.join", form.name, by=by, is_admin=row["is_admin"])
        for grant in row["grants"]:
            await self.holdings.join(
                tx, who, grant["workspace_id"], Role(grant["role"]), given_by=row["invited_by"] or ""
            )
        return person

    async def _usable(self, connection: AsyncConnection, token: str) -> RowMapping:
        row = await invitation_queries.find_by_token(connection, self._hash(token))
        if row is None or row["expires_at"] <= self._clock.now():
            raise _not_found()
        # A right that was given by somebody who has lost theirs is none.
        if row["invited_by"] is not None and (row["inviter_disabled_at"] or not row["inviter_is_admin"]):
            raise _not_found()
        return row

    # Private

    async def _get(self, connection: AsyncConnection, invitation_id: str) -> RowMapping:
        row = await invitation_queries.find_invitation(connection, invitation_id)
        if row is None:
            raise NotFound(
                "invitation-not-found",
                f"There is no invitation {invitation_id[:32]!r} (any more).",
                hint="studiolo people invitations",
            )
        return row

    async def _hand_out(self, who: Principal, invitation_id: str, token: str) -> InvitationLink:
        """Return the one answer that holds the link, after sending it by mail if that is possible."""
        async with self._db.read() as connection:
            row = await self._get(connection, invitation_id)
            wire = await self._wire(connection, row)
        url = f"{self._address}/join?invitation={token}"
        text = self._text(who, url, row["expires_at"], wire["workspaces"])
        problem = None
        if self._mail.is_set and row["email"]:
            try:
                await self._mail.send(row["email"], f"{who.display_name} invites you to Studiolo", text)
            except StudioloError as exc:
                problem = f"{exc.message} {exc.hint or ''}".strip()
            else:
                wire["mailed_at"] = await self._note_mailed(who, row)
        return InvitationLink(**wire, url=url, text=text, problem=problem)

    async def _note_mailed(self, who: Principal, row: RowMapping) -> datetime:
        now = self._clock.now()
        async with self._db.write() as tx:
            await invitation_queries.update_invitation(tx.connection, row["id"], mailed_at=now)
            await self._audit.record(tx, who, "invitation.mail", _to(row))
        return now

    def _text(self, who: Principal, url: str, until: datetime, workspaces: list[Granted]) -> str:
        names = ", ".join(f"{one.workspace.owner}/{one.workspace.name} ({one.role.value})" for one in workspaces)
        found = f"\n\nYou find there: {names}." if names else ""
        notice = f"\n\nKnow before you put files there: {self._notice}" if self._notice else ""
        return (
            f"{who.display_name} invites you to Studiolo, where we keep our notebooks.{found}\n\n"
            f"Open this link to choose a name and a password. It works once, until {until:%d %B %Y, %H:%M} UTC.\n\n"
            f"{url}{notice}\n"
        )

    async def _wire(self, connection: AsyncConnection, row: RowMapping) -> dict[str, Any]:
        refs: dict[str, WorkspaceRef] = await self.holdings.list_refs(
            connection, [grant["workspace_id"] for grant in row["grants"]]
        )
        by = row["invited_by"]
        return {
            "id": row["id"],
            "to": _to(row),
            "is_admin": row["is_admin"],
            "workspaces": [
                Granted(workspace=refs[grant["workspace_id"]], role=Role(grant["role"]))
                for grant in row["grants"]
                if grant["workspace_id"] in refs
            ],
            "invited_by": PersonRef(id=by, name=row["inviter_name"], display_name=row["inviter_display_name"])
            if by
            else None,
            "created_at": row["created_at"],
            "expires_at": row["expires_at"],
            "mailed_at": row["mailed_at"],
        }

    def _hash(self, token: str) -> str:
        return self._master.digest("invitation", token)


def _principal(person: dict[str, Any]) -> Principal:
    return Principal(person["id"], person["name"], person["display_name"], person["is_admin"], via="invitation")


def _to(row: RowMapping) -> str:
    return str(row["name"] or row["email"])


def _exists(to: str) -> Conflict:
    return Conflict(
        "person-exists",
        f"There is a person {to[:64]!r} already.",
        hint="To let them in again, make a sign-in link for them; to let them into a workspace, give them a role.",
    )


def _not_found() -> NotFound:
    return NotFound(
        "invitation-not-found",
        "This invitation was used or withdrawn, or has expired.",
        hint="Ask whoever invited you for a new one.",
    )
