"""Builds what people, their sign-ins and their keys need: for the platform, and for its operator alone."""

from dataclasses import dataclass

from studiolo.server.accounts.authentication import Authentication
from studiolo.server.accounts.keys import Keys
from studiolo.server.accounts.service import Accounts
from studiolo.server.foundation import Foundation


@dataclass(frozen=True)
class AccountParts:
    """The services that others stand on; those for coming and going are `people_parts`."""

    authentication: Authentication
    keys: Keys
    accounts: Accounts


def build_accounts(on: Foundation, *, notice: str | None) -> AccountParts:
    """Build the services; what closes when logins and keys end is the caller's to add."""
    settings = on.settings.accounts
    authentication = Authentication(on.db, on.clock, on.master, settings)
    keys = Keys(on.db, on.clock, authentication, on.audit)
    accounts = Accounts(
        on.db,
        on.clock,
        on.master,
        settings,
        authentication,
        keys,
        on.audit,
        on.live,
        address=on.settings.address,
        notice=notice,
    )
    return AccountParts(authentication, keys, accounts)
