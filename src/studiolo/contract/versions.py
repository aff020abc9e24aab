"""Earlier versions of files, how two of them differ, and deleted files, as they travel. Paths as in `files`."""

from datetime import datetime
from enum import StrEnum

from studiolo.contract.models import PersonRef, Wire


class VersionOrigin(StrEnum):
    """Who wrote a version: a session, a kernel nobody watched, an upload, a restore.

    `outside`: found so, written by a terminal or another program. `conflict`: a save that was refused, since
    somebody else had saved meanwhile; the file never held it.
    """

    SESSION = "session"
    KERNEL = "kernel"
    UPLOAD = "upload"
    RESTORE = "restore"
    OUTSIDE = "outside"
    CONFLICT = "conflict"


class FileVersion(Wire):
    """One version of a file. `path`: its name then; `hash`: SHA-256 of its content; `size` in bytes.

    `by`: None where nobody is known. `is_current`: the file holds just this now.
    """

    id: str
    path: str
    at: datetime
    hash: str
    size: int
    by: PersonRef | None
    origin: VersionOrigin
    is_current: bool


class DeletedFile(Wire):
    """A file or folder in a workspace's trash. `path`: where it was; `size` in bytes, None for a folder."""

    id: str
    path: str
    deleted_at: datetime
    erased_after: datetime
    by: PersonRef | None
    size: int | None


class RestoredFile(Wire):
    """Where something from the trash is now: beside its old place, if that is in use again."""

    path: str


class LineChange(StrEnum):
    """What became of a line; `left-out`: lines that are the same in both are not repeated here."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    LEFT_OUT = "left-out"


class LineDifference(Wire):
    """One line; of `left-out` the text says how many."""

    change: LineChange
    text: str


class CellChange(StrEnum):
    """What became of a cell."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class CellDifference(Wire):
    """One cell that differs. `before`, `after`: its number in each notebook, from 1; None: it is not there.

    `lines`: of its source. Outputs are told by their size: bytes of their JSON in each.
    """

    change: CellChange
    kind: str
    before: int | None
    after: int | None
    lines: list[LineDifference]
    has_other_outputs: bool
    output_bytes_before: int
    output_bytes_after: int


class FileDifference(Wire):
    """How a file differs between two versions: cell by cell in notebooks (`cells`), else line by line (`lines`).

    `before`, `after`: ids of versions, or `now`. `is_comparable`: False where one of them is neither a notebook nor
    text. `is_cut`: there is more than is told. `has_other_metadata`: the notebook's own, such as its kernel.
    """

    path: str
    before: str
    after: str
    is_notebook: bool
    is_comparable: bool
    same_cells: int
    has_other_metadata: bool
    cells: list[CellDifference]
    lines: list[LineDifference]
    is_cut: bool
