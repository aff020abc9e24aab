"""The workspace that a person's kernels belong to where a client names none."""

from dataclasses import replace

from studiolo.contract.errors import Conflict, NotFound
from studiolo.contract.models import WorkspaceCreate
from studiolo.kit.db import Database
from studiolo.server.principal import Principal
from studiolo.server.workspaces.service import Workspaces


class DefaultWorkspaces:
    """Finds it by its name, which nobody can choose for another one, or makes it. `name`: from the settings."""

    def __init__(self, db: Database, workspaces: Workspaces, *, name: str) -> None:
        self._db = db
        self._workspaces = workspaces
        self._name = name

    async def find_or_make(self, who: Principal) -> str:
        """Return its id. Made when first needed, in the person's name and with their whole right."""
        person = replace(who, scopes=None, workspace_id=None)
        found = await self._find(person)
        if found is not None:
            return found
        form = WorkspaceCreate(name=self._name, description="Kernels started by programs that named no workspace.")
        try:
            made = await self._workspaces.add(person, form, await self._workspaces.read_configuration(form), None)
        except Conflict:
            # Two requests at once.
            found = await self._find(person)
            if found is None:
                raise
            return found
        return made.id

    async def _find(self, who: Principal) -> str | None:
        async with self._db.read() as connection:
            try:
                row = await self._workspaces.resolve(connection, who, f"{who.name}~{self._name}", "kernel.specs")
            except NotFound:
                return None
        # A former name leads elsewhere.
        return str(row["id"]) if row["owner_id"] == who.person_id and row["name"] == self._name else None
