"""What files of a workspace were, and those that were deleted."""

from typing import BinaryIO

from studiolo.contract.models import Page
from studiolo.contract.versions import DeletedFile, FileDifference, FileVersion, RestoredFile
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment


class Versions:
    """Earlier versions of files. `path` is relative to the workspace's folder."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, workspace: str, path: str, *, page_size: int | None = None) -> Listing[FileVersion]:
        """Return what a file was, newest first; also of one that is gone."""

        async def fetch(cursor: str | None) -> Page[FileVersion]:
            asked = {"path": path, "limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[FileVersion], "GET", _at(workspace, "versions"), query=asked)

        return Listing(fetch)

    async def download(self, workspace: str, path: str, version: str, file: BinaryIO) -> int:
        """Write what a version holds into `file`; return its bytes. Raises NotFound (`version-not-found`)."""
        return await self._transport.download(_version(workspace, version), file, query={"path": path})

    async def compare(self, workspace: str, path: str, before: str, after: str = "now") -> FileDifference:
        """Return how a file differs between two versions, each an id or `now`: cell by cell in notebooks.

        Raises NotFound (`version-not-found`), Unavailable (`difference-failed`).
        """
        asked = {"path": path, "from": before, "to": after}
        return await self._transport.fetch(FileDifference, "GET", _at(workspace, "difference"), query=asked)

    async def restore(self, workspace: str, path: str, version: str) -> FileVersion:
        """Have the file be what a version holds; what it holds now stays as a version.

        Raises NotFound (`version-not-found`), Denied for viewers.
        """
        address = f"{_version(workspace, version)}/restore"
        return await self._transport.fetch(FileVersion, "POST", address, query={"path": path})


class FileTrash:
    """Files and folders that were deleted from workspaces."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, workspace: str, *, page_size: int | None = None) -> Listing[DeletedFile]:
        """Return what can come back, newest first."""

        async def fetch(cursor: str | None) -> Page[DeletedFile]:
            asked = {"limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[DeletedFile], "GET", _at(workspace, "trash"), query=asked)

        return Listing(fetch)

    async def restore(self, workspace: str, trash_id: str) -> RestoredFile:
        """Bring something back. Raises NotFound (`deleted-file-not-found`), Denied for viewers."""
        return await self._transport.fetch(RestoredFile, "POST", f"{_deleted(workspace, trash_id)}/restore")

    async def erase(self, workspace: str, trash_id: str) -> None:
        """Erase something for good. Raises NotFound (`deleted-file-not-found`), Denied for viewers."""
        await self._transport.send("DELETE", _deleted(workspace, trash_id))


def _at(workspace: str, what: str) -> str:
    return f"/jupyter/workspaces/{segment(workspace, what='workspace')}/files/{what}"


def _version(workspace: str, version: str) -> str:
    return f"{_at(workspace, 'versions')}/{segment(version, what='version')}"


def _deleted(workspace: str, trash_id: str) -> str:
    return f"{_at(workspace, 'trash')}/{segment(trash_id, what='deleted file')}"
