"""The look at an environment before anything starts in it, where an administrator lists what may not be there."""

import asyncio
from pathlib import Path

from studiolo.contract.errors import Denied
from studiolo.packages.installed.reading import read_environment
from studiolo.packages.scan.startup import Listed, find_listed
from studiolo.server.packages.clients import FindPolicy

_MOST_NAMED = 5


class StartupScan:
    """Judges environments. `find_policy`: the number and the policy in force in a workspace."""

    def __init__(self, find_policy: FindPolicy) -> None:
        self._find_policy = find_policy

    async def check(self, workspace_id: str, environment: Path) -> None:
        """Return if nothing stands against a start. Raises Denied (`environment-refused`), which names what does.

        What may be installed is another question, and another list. Reads the environment, where there is a list.
        """
        _, policy = await self._find_policy(workspace_id)
        if not policy.startup_blocked:
            return
        snapshot = await asyncio.to_thread(read_environment, environment)
        if listed := find_listed(snapshot, policy.startup_blocked):
            raise _refusal(listed)


def _refusal(listed: list[Listed]) -> Denied:
    named = ", ".join(f"{one.name} {one.version} ({one.entry})" for one in listed[:_MOST_NAMED])
    more = f" and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    return Denied(
        "environment-refused",
        f"The environment holds what may not be there when something starts: {named}{more}.",
        hint=f"Remove it from the environment, or ask an administrator: {listed[0].source} lists it.",
    )
