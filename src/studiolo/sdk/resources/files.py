"""Files of workspaces."""

import io
import os
from pathlib import Path
from typing import BinaryIO, Literal, cast
from urllib.parse import quote

from studiolo.contract.file_search import FileSearch
from studiolo.contract.files import FileEntry, FileKind, FileMove, FileSort, FolderMake
from studiolo.contract.models import Page
from studiolo.sdk import resumption
from studiolo.sdk.downloading import download
from studiolo.sdk.forms import fill
from studiolo.sdk.listing import Listing
from studiolo.sdk.transport import Transport, segment
from studiolo.sdk.uploading import Progress, Uploading, changed

# The front door waits a little longer than this.
_LONGEST_COPY_SECONDS = 110.0


class Files:
    """Files of workspaces, without a session. A path is relative to the workspace's folder.

    Methods raise NotFound (`file-not-found`), InvalidInput (`path-outside`, `name-invalid`, `name-reserved`), Conflict
    (`file-is-folder`, `file-not-folder`, `file-not-regular`), Unavailable (`file-host-unavailable`, `disk-full`).
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        workspace: str,
        path: str = "",
        *,
        filter: str | None = None,
        sort: Literal["name", "size", "modified"] = "name",
        page_size: int | None = None,
    ) -> Listing[FileEntry]:
        """Return what is in a folder, folders first; `filter`: only names that contain it."""

        async def fetch(cursor: str | None) -> Page[FileEntry]:
            asked = {"path": path, "filter": filter, "sort": FileSort(sort).value, "limit": page_size, "cursor": cursor}
            return await self._transport.fetch(Page[FileEntry], "GET", _at(workspace), query=asked)

        return Listing(fetch)

    async def info(self, workspace: str, path: str) -> FileEntry:
        """Return what a path names, a link itself."""
        return await self._transport.fetch(FileEntry, "GET", f"{_at(workspace)}/info", query={"path": path})

    async def search(self, workspace: str, text: str, *, folder: str = "", limit: int = 50) -> FileSearch:
        """Return the names, cells and lines of text that fit all words of `text`, in `folder`; at most 200.

        The last word may be the beginning of one; words in quotation marks stand side by side.
        """
        asked = {"q": text, "in": folder, "limit": limit}
        return await self._transport.fetch(FileSearch, "GET", f"{_at(workspace)}/search", query=asked)

    async def mkdir(self, workspace: str, path: str) -> FileEntry:
        """Make a folder, with those on the way. Raises Conflict (`file-exists`)."""
        body = fill(FolderMake, path=path)
        return await self._transport.fetch(FileEntry, "POST", f"{_at(workspace)}/folders", body=body)

    async def move(self, workspace: str, path: str, to: str) -> FileEntry:
        """Move or rename; `to` is the whole new path. Raises Conflict (`file-exists`)."""
        body = fill(FileMove, path=path, to=to)
        return await self._transport.fetch(FileEntry, "POST", f"{_at(workspace)}/move", body=body)

    async def copy(self, workspace: str, path: str, to: str) -> FileEntry:
        """Copy a file or folder; `to` is the whole new path. Raises Conflict (`file-exists`)."""
        body = fill(FileMove, path=path, to=to)
        address = f"{_at(workspace)}/copy"
        return await self._transport.fetch(FileEntry, "POST", address, body=body, work_seconds=_LONGEST_COPY_SECONDS)

    async def delete(self, workspace: str, path: str) -> None:
        """Put a file or folder into the workspace's trash."""
        await self._transport.send("DELETE", _at(workspace), query={"path": path})

    async def upload(
        self,
        workspace: str,
        source: str | Path | bytes,
        path: str,
        *,
        overwrite: bool = False,
        if_match: str | None = None,
        progress: Progress = lambda done: None,
    ) -> None:
        """Send a file of this machine, or bytes, to `path`; folders on the way are made. It goes on where it broke off.

        `if_match`: the ETag of the file that may be overwritten; `progress` is told the bytes that are there.
        Raises Conflict (`file-exists`, `file-changed`, `checksum-mismatch`), OSError.
        """
        metadata = {"path": path} | ({"overwrite": "yes"} if overwrite else {})
        if if_match is not None:
            metadata["if-match"] = if_match
        uploads = f"{_bytes_at(workspace)}/uploads"
        if isinstance(source, bytes):
            given = source
            await Uploading(
                self._transport, uploads, lambda: io.BytesIO(given), len(given), metadata, name=None, progress=progress
            ).run()
            return
        path_here = Path(source)
        with path_here.open("rb") as file:  # noqa: ASYNC230 local
            before = os.fstat(file.fileno())
            metadata["modified"] = f"{before.st_mtime:.3f}"
            # What is sent, and where to: changed in any way, it is another upload.
            members = (self._transport.credentials.url, uploads, sorted(metadata.items()))
            name = resumption.name_of(*members, before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns)
            size = before.st_size

            def open_file() -> BinaryIO:
                return cast(BinaryIO, path_here.open("rb", buffering=0))

            await Uploading(self._transport, uploads, open_file, size, metadata, name=name, progress=progress).run()
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise changed()

    async def download(
        self, workspace: str, path: str, target: str | Path, *, progress: Progress = lambda done: None
    ) -> Path:
        """Bring a file to `target` on this machine, replacing what is there once all has come and is right.

        A link is followed, if it stays in the workspace. It goes on where it broke off. Raises Conflict
        (`file-changed`, `checksum-mismatch`), OSError.
        """
        entry = await self.info(workspace, path)
        address = f"{_bytes_at(workspace)}/raw/{quote(entry.path)}"
        etag, size, modified_at = entry.etag, entry.size, entry.modified_at
        if entry.kind is not FileKind.FILE:
            # What a link leads to; of whatever else it is, the answer says why not. One to HEAD would say nothing.
            headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
            found = await self._transport.exchange("GET", address, headers=headers, stream=True)
            await found.aclose()
            etag, size, modified_at = found.headers["ETag"], int(found.headers["Content-Length"]), None
        assert etag is not None
        assert size is not None
        await download(self._transport, address, etag, size, Path(target), modified_at=modified_at, progress=progress)
        return Path(target)

    async def read(self, workspace: str, path: str) -> bytes:
        """Return a file's whole content."""
        address = f"{_bytes_at(workspace)}/raw/{quote(path)}"
        return (await self._transport.exchange("GET", address, headers={"Accept": "*/*"})).content


def _at(workspace: str) -> str:
    return f"/jupyter/workspaces/{segment(workspace, what='workspace')}/files"


def _bytes_at(workspace: str) -> str:
    return f"/files/{segment(workspace, what='workspace')}"
