"""What the operator does on the machine itself, on the database directly: works with the platform up or down."""

import asyncio
import getpass
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from studiolo.contract.errors import NotFound
from studiolo.contract.models import KeyCreate, PersonCreate, SignInLink
from studiolo.contract.names import suggest_name
from studiolo.server.accounts import queries
from studiolo.server.principal import OPERATOR, Principal
from studiolo.server.services import Services, build
from studiolo.server.settings import Settings

Result = TypeVar("Result")


def first_start(settings: Settings) -> SignInLink | None:
    """Make the first administrator (named as the system account) if there is nobody; return their link."""
    return _run(settings, _first_start)


def needs_link(settings: Settings) -> bool:
    """Tell whether no administrator has signed in yet."""

    async def ask(services: Services) -> bool:
        async with services.db.read() as connection:
            row = await queries.first_admin(connection)
        return row is None or row["last_seen_at"] is None

    return _run(settings, ask)


def sign_in_link(settings: Settings, person: str | None = None) -> SignInLink:
    """Make a one-time sign-in link for a person (None: the first administrator)."""
    return _run(settings, lambda services: services.accounts.create_sign_in_link(OPERATOR, person))


def set_password(settings: Settings, person: str, password: str) -> None:
    """Set somebody's password; all their logins end."""
    _run(settings, lambda services: services.accounts.set_password(OPERATOR, person, password))


def record_backup(settings: Settings) -> None:
    """Write down that a backup is made from the machine itself."""
    _run(settings, lambda services: services.backups.record(OPERATOR))


def create_local_key(settings: Settings) -> tuple[str, str]:
    """Make a key of the first administrator for this machine's command line; return (person's name, key)."""
    return _run(settings, _create_local_key)


async def _first_start(services: Services) -> SignInLink | None:
    async with services.db.read() as connection:
        if await queries.count_people(connection):
            return None
    name = suggest_name(getpass.getuser())
    form = PersonCreate(name=name if len(name) > 1 and name != "root" else "admin", is_admin=True)
    await services.accounts.add_first_person(OPERATOR, form)
    return await services.accounts.create_sign_in_link(OPERATOR, None)


async def _create_local_key(services: Services) -> tuple[str, str]:
    async with services.db.read() as connection:
        row = await queries.first_admin(connection)
    if row is None:
        raise NotFound("person-not-found", "There is no administrator yet.", hint="studiolo up makes the first one.")
    who = Principal(row["id"], row["name"], row["display_name"], is_admin=True, via="operator")
    created = await services.keys.create_key(who, KeyCreate(name="this machine"))
    return row["name"], created.key


def _run(settings: Settings, use: Callable[[Services], Awaitable[Result]]) -> Result:
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
