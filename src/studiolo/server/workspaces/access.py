"""A person's role on a workspace, remembered for a moment: asked on every request through the front door."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from studiolo.contract.operations import Role
from studiolo.kit.cache import MomentCache
from studiolo.kit.db import Database
from studiolo.server.workspaces import queries

_REMEMBER_SECONDS = 2.0


class Access:
    """Answers who may see a workspace. `forget` after every change of members or deletion."""

    def __init__(self, db: Database) -> None:
        self._db = db
        # In a tuple, so that "no role" is an answer too.
        self._roles: MomentCache[tuple[str, str], tuple[Role | None]] = MomentCache(_REMEMBER_SECONDS)

    def forget(self) -> None:
        """Drop what is remembered."""
        self._roles.clear()

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` with every change: answers built on what was before are stale."""
        self._roles.watchers.append(changed)

    async def role(self, connection: AsyncConnection, person_id: str, workspace_id: str) -> Role | None:
        """Return the person's role; None for no member or no such workspace.

        Reads on the caller's connection: a second one, asked for while holding the first, locks the pool up.
        """
        known = self._roles.find((person_id, workspace_id))
        if known is not None:
            return known[0]
        generation = self._roles.generation
        found = await queries.find_role(connection, person_id, workspace_id)
        role = Role(found) if found else None
        self._roles.put((person_id, workspace_id), (role,), generation=generation)
        return role

    async def audience(self, workspace_id: str) -> set[str]:
        """Ids of all members."""
        async with self._db.read() as connection:
            return {row["person_id"] for row in await queries.list_members(connection, workspace_id)}
