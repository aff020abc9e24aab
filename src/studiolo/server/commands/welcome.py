"""What a person reads when the platform runs: where it is, how to get in, what to know, what to do next."""

import ipaddress
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.server.commands.probe import ask
from studiolo.server.settings import Settings


@dataclass(frozen=True, slots=True)
class Welcome:
    """`link`: a one-time sign-in link, while no administrator has signed in yet; `notice`: the isolation's."""

    address: str
    link: str | None
    notice: str | None
    is_single_team: bool
    data_dir: str

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "address": self.address,
            "sign_in_link": self.link,
            "notice": self.notice,
            "single_team": self.is_single_team,
            "data_dir": self.data_dir,
        }

    def text(self) -> str:
        """Return it for a person."""
        program = program_name()
        how = f"Sign in    {self.link}" if self.link else f"Sign in    as before, or: {program} sign-in-link"
        lines = ["", f"Studiolo   {self.address}", how]
        if self.link:
            lines.append(f"           (the link works once; `{program} sign-in-link` makes another)")
        lines += [f"Data       {self.data_dir}", ""]
        if self.notice:
            lines.append(f"Note: {self.notice}")
        if self.is_single_team:
            lines.append("Note: sessions share the platform's origin here; let in only people who trust each other.")
        lines += [f"Next: {program} create my-workspace", ""]
        return "\n".join(lines)


def welcome(settings: Settings) -> Welcome:
    """Wait for the API's answer, make what a first start makes, sign this account's command line in.

    Raises Unavailable (`control-plane-unreachable`).
    """
    from studiolo.server import operator

    status, platform = ask(settings, "/api/v1/platform")
    if status != 200:
        raise Unavailable("control-plane-unreachable", f"The platform answers {status}.", hint="studiolo doctor")
    link = operator.first_start(settings)
    if link is None and operator.needs_link(settings):
        link = operator.sign_in_link(settings)
    sign_command_line_in(settings)
    return Welcome(
        address=settings.address,
        link=link.url if link else None,
        notice=platform["isolation_notice"],
        is_single_team=platform["single_team"],
        data_dir=str(settings.data_dir),
    )


def sign_command_line_in(settings: Settings) -> None:
    """Make and save a key for this account, unless the saved one still opens the door."""
    from studiolo.sdk import credentials
    from studiolo.server import operator

    known = credentials.find_credentials(settings.address)
    if known.key and known.person and ask(settings, "/api/v1/me", key=known.key)[0] == 200:
        credentials.store(settings.address, known.key, known.person, authority=settings.authority_file)
        return
    person, key = operator.create_local_key(settings)
    credentials.store(settings.address, key, person, authority=settings.authority_file)


def program_name() -> str:
    """Return what to type to run this very command line from here: `studiolo`, or its path if that finds another."""
    own = Path(sysconfig.get_path("scripts")) / "studiolo"
    found = shutil.which("studiolo")
    if not own.exists() or (found and Path(found).resolve() == own.resolve()):
        return "studiolo"
    here = Path.cwd()
    return str(own.relative_to(here)) if own.is_relative_to(here) else str(own)


def network_warning(settings: Settings) -> str | None:
    """Return what to say when passwords would cross the network in clear, else None."""
    if settings.tls.mode != "off" or settings.host == "localhost":
        return None
    try:
        is_loopback = ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        is_loopback = False
    if is_loopback:
        return None
    return f"Warning: {settings.host} may be reached from the network without TLS. Use --tls internal or a certificate."
