"""Use cases of people: sign in and out, passwords, keys, adding people."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError

from studiolo.contract.errors import Conflict, Denied, LimitReached, NotFound, NotSignedIn
from studiolo.contract.ids import IdKind, new_id
from studiolo.contract.models import (
    KeyCreate,
    KeyCreated,
    LoginInfo,
    Me,
    PasswordChange,
    PersonCreate,
    PersonRef,
    SignIn,
    SignInLink,
)
from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey, new_token
from studiolo.kit.db import Database, Transaction
from studiolo.server.accounts import queries
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.accounts.keys import Keys
from studiolo.server.accounts.newcomers import insert_newcomer
from studiolo.server.accounts.passwords import check_strength, hash_password, is_password
from studiolo.server.audit.service import Audit
from studiolo.server.live import Live
from studiolo.server.principal import Principal
from studiolo.server.settings.accounts import AccountSettings

_LOCK_STEP = timedelta(seconds=30)


class Accounts:
    """People and how they sign in. `address`: the platform's own; `notice`: what a newcomer must know."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        master: MasterKey,
        settings: AccountSettings,
        authentication: Authentication,
        keys: Keys,
        audit: Audit,
        live: Live,
        *,
        address: str,
        notice: str | None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._master = master
        self._settings = settings
        self._authentication = authentication
        self._keys = keys
        self._audit = audit
        self._live = live
        self._address = address
        self._notice = notice
        # What else closes when logins end; set by the composition root.
        self.on_ended: Callable[[str, set[str]], None] = lambda person_id, logins: None

    # Signing in and out

    async def sign_in_password(self, name: str, password: str, user_agent: str) -> str:
        """Return a login's token for the cookie; raises NotSignedIn, or LimitReached after many failures."""
        row = await self._check_password(name, password)
        return await self.begin_login(row, user_agent)

    async def sign_in_program(self, form: SignIn) -> KeyCreated:
        """Exchange name and password for a key with all scopes, for command lines elsewhere."""
        row = await self._check_password(form.name, form.password)
        who = Principal(row["id"], row["name"], row["display_name"], row["is_admin"], via="password")
        return await self._keys.create_key(who, KeyCreate(name=form.key_name))

    async def find_link(self, token: str) -> str:
        """Return the name of the person whom a link would sign in; raises NotFound (`link-invalid`)."""
        async with self._db.read() as connection:
            row = await queries.find_link(connection, self._master.digest("link", token))
        if row is None or row["expires_at"] <= self._clock.now():
            raise _link_invalid()
        return str(row["name"])

    async def sign_in_link(self, token: str, user_agent: str) -> str:
        """Use a one-time link up and return a login's token; raises NotFound (`link-invalid`)."""
        async with self._db.write() as tx:
            link = await queries.take_link(tx.connection, self._master.digest("link", token))
            row = await queries.find_person(tx.connection, link["person_id"]) if link else None
        if link is None or row is None or row["disabled_at"] or link["expires_at"] <= self._clock.now():
            raise _link_invalid()
        return await self.begin_login(row, user_agent)

    async def begin_login(self, person: Mapping[str, Any] | RowMapping, user_agent: str, **detail: str) -> str:
        """Return a new login's token for a person (their row) who has just proved who they are.

        `detail`: what the record says of how.
        """
        token, login_id, now = new_token("stl"), new_id(IdKind.LOGIN), self._clock.now()
        person_id, name = person["id"], person["name"]
        who = Principal(person_id, name, person["display_name"], person["is_admin"], via="login", login_id=login_id)
        async with self._db.write() as tx:
            await queries.insert_login(
                tx.connection,
                {
                    "id": login_id,
                    "person_id": person_id,
                    "token_hash": self._authentication.hash_login(token),
                    "created_at": now,
                    "last_seen_at": now,
                    "expires_at": now + self._settings.login_lifetime,
                    "user_agent": user_agent[:256],
                },
            )
            await queries.update_person(
                tx.connection, person_id, failed_sign_ins=0, locked_until=None, last_seen_at=now
            )
            await self._record(tx, who, "account.sign-in", name, **detail)
        return token

    async def sign_out(self, who: Principal) -> None:
        """End this login; its open pages and sessions close."""
        await self._end_logins(who, "account.sign-out", who.login_id)

    async def sign_out_everywhere(self, who: Principal) -> None:
        """End all logins of this person."""
        who.require("account.update")
        await self._end_logins(who, "account.sign-out-everywhere", None)

    # The account itself

    async def me(self, who: Principal) -> Me:
        """Return the signed-in person."""
        who.require("account.read")
        async with self._db.read() as connection:
            row = await queries.find_person(connection, who.person_id)
        if row is None:
            raise NotSignedIn("login-ended", "This account does not exist any more.")
        scopes = None if who.scopes is None else sorted(who.scopes)
        return Me(
            **_ref(row),
            email=row["email"],
            is_admin=row["is_admin"],
            has_password=bool(row["password_hash"]),
            scopes=scopes,
        )

    async def change_password(self, who: Principal, form: PasswordChange) -> None:
        """Set the password; a key must prove the present one. Other logins end."""
        who.require("account.update")
        check_strength(form.new, name=who.name, min_length=self._settings.password_min_length)
        async with self._db.read() as connection:
            row = await queries.find_person(connection, who.person_id)
        stored = row["password_hash"] if row else None
        if stored is not None and not await is_password(form.current or "", stored):
            raise Denied("credentials-wrong", "The present password is not right.", hint="Nothing was changed.")
        hashed = await hash_password(form.new)
        async with self._db.write() as tx:
            await queries.update_person(tx.connection, who.person_id, password_hash=hashed, failed_sign_ins=0)
            others = {
                r["id"] for r in await queries.list_logins(tx.connection, who.person_id) if r["id"] != who.login_id
            }
            for login_id in others:
                await queries.delete_logins(tx.connection, person_id=who.person_id, login_id=login_id)
            await self._record(tx, who, "account.password", who.name)
            tx.after_commit(lambda: self._ended(who.person_id, others))

    async def list_logins(self, who: Principal) -> list[LoginInfo]:
        """Return the person's signed-in browsers, last used first."""
        who.require("account.read")
        async with self._db.read() as connection:
            rows = await queries.list_logins(connection, who.person_id)
        now = self._clock.now()
        return [login_info(row, who.login_id) for row in rows if row["expires_at"] > now]

    # People

    async def find_person(self, tx_or_connection: Any, name: str, *, even_suspended: bool = False) -> PersonRef:
        """Resolve a name, e-mail or id inside a transaction; raises NotFound (`person-not-found`)."""
        row = await queries.find_person(tx_or_connection, name)
        if row is None or (row["disabled_at"] is not None and not even_suspended):
            raise NotFound(
                "person-not-found",
                f"There is no person {name[:64]!r}.",
                hint="An administrator lets people in: studiolo people invite",
            )
        return PersonRef(**_ref(row))

    async def create_person(self, who: Principal, form: PersonCreate) -> SignInLink:
        """Add a person and return their first sign-in link; raises Conflict (`person-exists`)."""
        try:
            async with self._db.write() as tx:
                return await self._new_link(
                    tx, await self._add_person(tx, who, form), self._settings.invitation_lifetime
                )
        except IntegrityError as exc:
            raise Conflict(
                "person-exists",
                "A person with this name or e-mail address exists.",
                hint="To let them in again: studiolo sign-in-link NAME",
            ) from exc

    async def add_first_person(self, who: Principal, form: PersonCreate) -> None:
        """Add the first administrator, if nobody is there yet; repeatable."""
        async with self._db.write() as tx:
            if not await queries.count_people(tx.connection):
                await self._add_person(tx, who, form)

    async def _add_person(self, tx: Transaction, who: Principal, form: PersonCreate) -> dict[str, Any]:
        who.require("person.create")
        values = await insert_newcomer(tx, form, self._clock.now())
        await self._record(tx, who, "person.create", form.name, is_admin=form.is_admin)
        return values

    async def create_sign_in_link(self, who: Principal, person: str | None) -> SignInLink:
        """Make a one-time link for a person (None: the first administrator); earlier unused ones end."""
        who.require("person.reset")
        async with self._db.write() as tx:
            row = await (queries.find_person(tx.connection, person) if person else queries.first_admin(tx.connection))
            if row is None:
                raise NotFound("person-not-found", f"There is no person {(person or 'administrator')[:64]!r}.")
            if row["disabled_at"] is not None:
                raise Conflict(
                    "person-suspended",
                    f"{row['name']} is suspended: no link lets them in.",
                    hint=f"Let them back in first: studiolo people reinstate {row['name']}",
                )
            await queries.delete_links(tx.connection, row["id"])
            await self._record(tx, who, "person.sign-in-link", row["name"])
            return await self._new_link(tx, dict(row), self._settings.sign_in_link_lifetime)

    async def set_password(self, who: Principal, person: str, password: str) -> None:
        """Set somebody's password (the machine's operator); all their logins end."""
        who.require("person.reset")
        async with self._db.write() as tx:
            found = await self.find_person(tx.connection, person)
            check_strength(password, name=found.name, min_length=self._settings.password_min_length)
            hashed = await hash_password(password)
            await queries.update_person(
                tx.connection, found.id, password_hash=hashed, failed_sign_ins=0, locked_until=None
            )
            ended = await queries.delete_logins(tx.connection, person_id=found.id)
            await self._record(tx, who, "person.password", found.name)
            tx.after_commit(lambda: self._ended(found.id, ended))

    # Private

    async def _check_password(self, name: str, password: str) -> Any:
        now = self._clock.now()
        async with self._db.read() as connection:
            row = await queries.find_person(connection, name)
        if row is not None and row["locked_until"] is not None and row["locked_until"] > now:
            seconds = int((row["locked_until"] - now).total_seconds()) + 1
            raise LimitReached(
                "too-many-attempts",
                f"Too many failed sign-ins for this account; try again in {seconds} seconds.",
                hint="On the machine itself, studiolo sign-in-link lets you in at once.",
                retry_after=seconds,
            )
        fits = await is_password(password, row["password_hash"] if row else None)
        if row is None or not fits:
            if row is not None:
                await self._count_failure(row["id"], row["failed_sign_ins"] + 1, now)
            raise NotSignedIn(
                "credentials-wrong",
                "Name and password do not match.",
                hint="No password yet? Use a sign-in link: studiolo sign-in-link",
            )
        if row["disabled_at"] is not None:
            # Said to whoever has the password alone.
            raise Denied("person-suspended", "Your account here is suspended.", hint="Ask an administrator.")
        return row

    async def _count_failure(self, person_id: str, failures: int, now: datetime) -> None:
        over = failures - self._settings.failures_before_delay
        wait = timedelta(0) if over < 0 else min(_LOCK_STEP * 2 ** min(over, 10), timedelta(hours=1))
        if failures >= self._settings.failure_ceiling:
            wait = timedelta(days=1)
        async with self._db.write() as tx:
            await queries.update_person(
                tx.connection, person_id, failed_sign_ins=failures, locked_until=now + wait if wait else None
            )

    async def _end_logins(self, who: Principal, action: str, login_id: str | None) -> None:
        async with self._db.write() as tx:
            ended = await queries.delete_logins(tx.connection, person_id=who.person_id, login_id=login_id)
            await self._record(tx, who, action, who.name)
            tx.after_commit(lambda: self._ended(who.person_id, ended))

    def _ended(self, person_id: str, logins: set[str]) -> None:
        self._live.close_logins(logins)
        self.on_ended(person_id, logins)

    async def _new_link(self, tx: Transaction, person: dict[str, Any], lifetime: timedelta) -> SignInLink:
        token, now = new_token("sti"), self._clock.now()
        await queries.insert_link(
            tx.connection,
            {
                "token_hash": self._master.digest("link", token),
                "person_id": person["id"],
                "created_at": now,
                "expires_at": now + lifetime,
            },
        )
        return SignInLink(
            # Good once and for minutes; the page it opens asks, and posts it: a GET changes nothing.
            url=f"{self._address}/sign-in?link={token}",
            expires_at=now + lifetime,
            person=PersonRef(**_ref(person)),
            notice=self._notice,
        )

    async def _record(self, tx: Transaction, who: Principal, action: str, target: str, **detail: Any) -> None:
        await self._audit.record(tx, who, action, target, **detail)
        tx.after_commit(self._authentication.forget)


def login_info(row: RowMapping, current: str | None) -> LoginInfo:
    """Return a login's row as people see it; `current`: the login that asks."""
    return LoginInfo(
        id=row["id"],
        created_at=row["created_at"],
        last_seen_at=row["last_seen_at"],
        expires_at=row["expires_at"],
        user_agent=row["user_agent"],
        is_current=row["id"] == current,
    )


def _ref(row: Any) -> dict[str, str]:
    return {"id": row["id"], "name": row["name"], "display_name": row["display_name"]}


def _link_invalid() -> NotFound:
    return NotFound(
        "link-invalid",
        "This sign-in link was used before or has expired.",
        hint="Make a new one on the machine that runs the platform: studiolo sign-in-link",
    )
