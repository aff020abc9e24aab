"""What people of a workspace show each other."""

from studiolo.contract.details import Share, ShareCreate
from studiolo.contract.models import Page
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment


class Shares:
    """Share notebooks and files with those who are members of a workspace."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, workspace: str, *, page_size: int | None = None) -> Listing[Share]:
        """Return what is shared in a workspace, newest first."""

        async def fetch(cursor: str | None) -> Page[Share]:
            asked = {"limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[Share], "GET", _at(workspace), query=asked)

        return Listing(fetch)

    async def create(self, workspace: str, path: str) -> Share:
        """Share a file; `path` is relative to the workspace's folder. Sharing it again changes nothing.

        Raises Denied for viewers, InvalidInput (`path-invalid`).
        """
        return await self._transport.fetch(Share, "POST", _at(workspace), body=fill(ShareCreate, path=path))

    async def delete(self, workspace: str, share_id: str) -> None:
        """Share it no longer; the file stays. Raises NotFound (`share-not-found`)."""
        await self._transport.send("DELETE", f"{_at(workspace)}/{segment(share_id, what='share')}")


def _at(workspace: str) -> str:
    return f"/jupyter/workspaces/{segment(workspace, what='workspace')}/shares"
