"""Workspaces and their members."""

from builtins import list as list_of

from studiolo.contract.models import Member, MemberSet, Page, Workspace, WorkspaceCreate, WorkspaceUpdate
from studiolo.contract.operations import Role
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment

_PATH = "/jupyter/workspaces"


class Workspaces:
    """Create, find, change and delete workspaces. A workspace is named by id, `owner/name` or name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, query: str | None = None, page_size: int | None = None) -> Listing[Workspace]:
        """Return the workspaces you can see; `query` keeps those whose name or description contains it."""

        async def fetch(cursor: str | None) -> Page[Workspace]:
            asked = {"q": query, "limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[Workspace], "GET", _PATH, query=asked)

        return Listing(fetch)

    async def create(self, name: str, *, description: str = "", root: str | None = None) -> Workspace:
        """Create a workspace. `root`: a folder of the server's machine to use as its files.

        Raises InvalidInput (`name-invalid`, `name-reserved`), Conflict (`workspace-exists`).
        """
        body = WorkspaceCreate(name=name, description=description, root=root)
        return await self._transport.fetch(Workspace, "POST", _PATH, body=body)

    async def get(self, workspace: str) -> Workspace:
        """Return one workspace.

        Raises NotFound (`workspace-not-found`), Conflict (`workspace-ambiguous`, `extra["candidates"]`).
        """
        return await self._transport.fetch(Workspace, "GET", _at(workspace))

    async def update(self, workspace: str, *, name: str | None = None, description: str | None = None) -> Workspace:
        """Change name or description; what is None stays."""
        given = {"name": name, "description": description}
        body = WorkspaceUpdate(**{member: value for member, value in given.items() if value is not None})
        return await self._transport.fetch(Workspace, "PATCH", _at(workspace), body=body)

    async def delete(self, workspace: str, *, stop_sessions: bool = False) -> None:
        """Delete a workspace; its files go to the trash.

        Raises Conflict (`workspace-busy`) while its sessions run, unless `stop_sessions`.
        """
        query = {"stop_sessions": True} if stop_sessions else None
        await self._transport.send("DELETE", _at(workspace), query=query)

    async def members(self, workspace: str) -> list_of[Member]:
        """Return who has access."""
        return await self._transport.fetch(list_of[Member], "GET", f"{_at(workspace)}/members")

    async def set_member(self, workspace: str, person: str, role: Role | str) -> Member:
        """Give somebody (name, e-mail or id) a role: owner, editor or viewer.

        Raises NotFound (`person-not-found`), Conflict or Denied (`last-owner`).
        """
        body = MemberSet.model_validate({"person": person, "role": role})
        return await self._transport.fetch(Member, "PUT", f"{_at(workspace)}/members", body=body)

    async def remove_member(self, workspace: str, person: str) -> None:
        """Take somebody's access away."""
        who = segment(person, what="person")
        await self._transport.send("DELETE", f"{_at(workspace)}/members/{who}")


def _at(workspace: str) -> str:
    return f"{_PATH}/{segment(workspace, what='workspace')}"
