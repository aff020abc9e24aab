"""Names at the Hub: who a person of ours is there, and which of its servers are ours."""

import hashlib
import re
from dataclasses import dataclass

from studiolo.contract.errors import NotFound
from studiolo.engines.jupyterhub.settings import HubSettings

_SERVER = re.compile(r"(.+)-([0-9]{1,9})-([0-9a-f]{6})")


@dataclass(frozen=True, slots=True)
class Key:
    """Names a server at the Hub: its user, and its name among the user's."""

    user: str
    server: str


class ServerNames:
    """Names servers `<workload>-<launch>-<instance>`: by the name alone it is known whose and which they are.

    JupyterHub 6 takes names of 30 small letters, digits and hyphens at most; ours have 18 + 6 and the launch's digits.
    """

    def __init__(self, instance: str) -> None:
        self._instance = hashlib.sha256(instance.encode()).hexdigest()[:6]

    def of(self, workload_id: str, launch: int) -> str:
        """Return the name of a launch's server."""
        return f"{workload_id}-{launch}-{self._instance}"

    def read(self, name: str) -> tuple[str, int] | None:
        """Return the workload and launch that a name says; None for all that this platform did not start."""
        found = _SERVER.fullmatch(name)
        return (found[1], int(found[2])) if found and found[3] == self._instance else None


def user_of(person: str, settings: HubSettings) -> str:
    """Return who a person is at the Hub; raises NotFound (`engine-person-unknown`) for those who are nobody there."""
    if person in settings.users:
        return settings.users[person]
    if person and settings.user:
        return settings.user.replace("{person}", person)
    raise unknown_person(person)


def unknown_person(person: str) -> NotFound:
    """Return the error for a person whom the Hub does not know."""
    return NotFound(
        "engine-person-unknown",
        f"The JupyterHub has no user for {person[:60] or 'nobody'}, so no server can be started there.",
        hint="Sign in at the Hub once, or have an administrator set users or create_users in engines.jupyterhub.",
    )
