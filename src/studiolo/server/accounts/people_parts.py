"""Builds how people come and go: invitations, other ways to sign in, suspension; and what all are told meanwhile."""

from dataclasses import dataclass

from studiolo.server.accounts.banners import Banners
from studiolo.server.accounts.devices import Devices
from studiolo.server.accounts.hub_sign_in import HubSignIn
from studiolo.server.accounts.invitations import Invitations
from studiolo.server.accounts.mail import Mail
from studiolo.server.accounts.parts import AccountParts
from studiolo.server.accounts.suspension import Suspension
from studiolo.server.foundation import Foundation


@dataclass(frozen=True)
class PeopleParts:
    """The services. What becomes of workspaces (`holdings`) is told to two of them once there are any."""

    devices: Devices
    hub_sign_in: HubSignIn
    invitations: Invitations
    suspension: Suspension
    banners: Banners


def build_people(on: Foundation, of_accounts: AccountParts, *, notice: str | None) -> PeopleParts:
    """Build the services; nothing runs yet."""
    settings, address = on.settings.accounts, on.settings.address
    accounts, keys = of_accounts.accounts, of_accounts.keys
    mail = Mail(on.settings.mail, domain=on.settings.domain)
    suspension = Suspension(on.db, on.clock, of_accounts.authentication, on.audit, on.live)
    return PeopleParts(
        devices=Devices(on.db, on.clock, on.master, keys, on.audit, address=address),
        hub_sign_in=HubSignIn(
            on.db, on.clock, on.master, settings.jupyterhub, accounts, suspension, on.audit, address=address
        ),
        invitations=Invitations(
            on.db, on.clock, on.master, settings, accounts, keys, on.audit, mail, address=address, notice=notice
        ),
        suspension=suspension,
        banners=Banners(on.db, on.clock, on.audit, on.live),
    )
