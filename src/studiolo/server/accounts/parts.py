"""Builds what people, their sign-ins and their keys need: for the platform, and for its operator alone."""

from dataclasses import dataclass

from studiolo.kit.clock import Clock
from studiolo.kit.crypto import MasterKey
from studiolo.kit.db import Database
from studiolo.server.accounts.authentication import Authentication
from studiolo.server.accounts.keys import Keys
from studiolo.server.accounts.service import Accounts
from studiolo.server.audit.service import Audit
from studiolo.server.live import Live
from studiolo.server.settings import Settings


@dataclass(frozen=True, slots=True)
class AccountParts:
    """The services."""

    authentication: Authentication
    keys: Keys
    accounts: Accounts


def build_accounts(
    settings: Settings, *, clock: Clock, db: Database, master: MasterKey, audit: Audit, live: Live, notice: str | None
) -> AccountParts:
    """Build the services; what closes when logins and keys end is the caller's to add."""
    authentication = Authentication(db, clock, master, settings.accounts)
    keys = Keys(db, clock, authentication, audit)
    accounts = Accounts(
        db,
        clock,
        master,
        settings.accounts,
        authentication,
        keys,
        audit,
        live,
        address=settings.address,
        notice=notice,
    )
    return AccountParts(authentication, keys, accounts)
