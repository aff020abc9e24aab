"""What the operator does on the machine itself, on the database directly: works with the platform up or down."""

import asyncio
import getpass
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from studiolo.contract.errors import NotFound
from studiolo.contract.models import KeyCreate, PersonCreate, SignInLink
from studiolo.contract.names import suggest_name
from studiolo.kit.db import Database
from studiolo.server.accounts import queries
from studiolo.server.accounts.parts import AccountParts, build_accounts
from studiolo.server.engines.words import isolation_notice
from studiolo.server.foundation import lay_foundation
from studiolo.server.principal import OPERATOR, Principal
from studiolo.server.schema import database_url
from studiolo.server.settings import Settings

if TYPE_CHECKING:
    from studiolo.server.services import Services

Result = TypeVar("Result")
# Before an engine has been asked what it keeps apart.
_NOTICE = isolation_notice("L0")


@dataclass(frozen=True, slots=True)
class _Desk:
    """What letting people in needs: of the platform, its people alone."""

    db: Database
    people: AccountParts


def first_start(settings: Settings) -> SignInLink | None:
    """Make the first administrator (named as the system account) if there is nobody; return their link."""
    return _at_desk(settings, _first_start)


def needs_link(settings: Settings) -> bool:
    """Tell whether no administrator has signed in yet."""

    async def ask(desk: _Desk) -> bool:
        async with desk.db.read() as connection:
            row = await queries.first_admin(connection)
        return row is None or row["last_seen_at"] is None

    return _at_desk(settings, ask)


def sign_in_link(settings: Settings, person: str | None = None) -> SignInLink:
    """Make a one-time sign-in link for a person (None: the first administrator)."""
    return _at_desk(settings, lambda desk: desk.people.accounts.create_sign_in_link(OPERATOR, person))


def set_password(settings: Settings, person: str, password: str) -> None:
    """Set somebody's password; all their logins end."""
    _run(settings, lambda services: services.accounts.set_password(OPERATOR, person, password))


def record_backup(settings: Settings) -> None:
    """Write down that a backup is made from the machine itself."""
    _run(settings, lambda services: services.backups.record(OPERATOR))


def create_local_key(settings: Settings) -> tuple[str, str]:
    """Make a key of the first administrator for this machine's command line; return (person's name, key)."""
    return _at_desk(settings, _create_local_key)


async def _first_start(desk: _Desk) -> SignInLink | None:
    async with desk.db.read() as connection:
        if await queries.count_people(connection):
            return None
    name = suggest_name(getpass.getuser())
    form = PersonCreate(name=name if len(name) > 1 and name != "root" else "admin", is_admin=True)
    await desk.people.accounts.add_first_person(OPERATOR, form)
    return await desk.people.accounts.create_sign_in_link(OPERATOR, None)


async def _create_local_key(desk: _Desk) -> tuple[str, str]:
    async with desk.db.read() as connection:
        row = await queries.first_admin(connection)
    if row is None:
        raise NotFound("person-not-found", "There is no administrator yet.", hint="studiolo up makes the first one.")
    who = Principal(row["id"], row["name"], row["display_name"], is_admin=True, via="operator")
    created = await desk.people.keys.create_key(who, KeyCreate(name="this machine"))
    return row["name"], created.key


def _at_desk(settings: Settings, use: Callable[[_Desk], Awaitable[Result]]) -> Result:
    """Run `use` with what it needs; the whole platform takes more than a second to load."""

    async def run() -> Result:
        db = Database(database_url(settings))
        people = build_accounts(lay_foundation(settings, db), notice=_NOTICE)
        try:
            return await use(_Desk(db, people))
        finally:
            await db.close()

    return asyncio.run(run())


def _run(settings: Settings, use: Callable[["Services"], Awaitable[Result]]) -> Result:
    """Run `use` with all services."""
    import structlog

    from studiolo.server.services import build

    async def run() -> Result:
        # What goes wrong is told by errors; log lines would stand in the middle of a command's output.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        services = build(settings, engines={})
        try:
            return await use(services)
        finally:
            await services.drain()
            await services.db.close()

    return asyncio.run(run())
