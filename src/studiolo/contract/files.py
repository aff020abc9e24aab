"""Files of a workspace, as they travel. Paths are relative to the workspace's folder, with `/`, never at the front.

Names are text; see `paths` for those that are none on disk.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from studiolo.contract.models import Request, Wire


class FileKind(StrEnum):
    """What a name in a folder is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


class FileSort(StrEnum):
    """Orders of a listing; folders come first in each. Sizes: largest first; times: newest first."""

    NAME = "name"
    SIZE = "size"
    MODIFIED = "modified"


class FileEntry(Wire):
    """One name in a folder.

    `kind` is a link's own; `leads_to` what it leads to: file or folder, None where that is nothing, or outside.
    `size` in bytes (None for folders); `is_text`: False where the name on disk is no UTF-8.
    `etag`: names this content, for If-Match; None for all but plain files.
    """

    name: str
    path: str
    kind: FileKind
    leads_to: FileKind | None = None
    size: int | None = None
    modified_at: datetime | None = None
    is_text: bool = True
    etag: str | None = None


class FolderMake(Request):
    """A folder to make, with those on the way."""

    path: str = Field(min_length=1, max_length=4096)


class FileMove(Request):
    """What is to be moved or copied, and where: the full new path. Nothing that is there is overwritten."""

    path: str = Field(min_length=1, max_length=4096)
    to: str = Field(min_length=1, max_length=4096)
