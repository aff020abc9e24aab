"""What a search of a workspace's files finds, as it travels."""

from datetime import datetime

from studiolo.contract.models import Wire


class FileHit(Wire):
    """One place that fits. `kind`: name (the path itself fits), code, markdown, raw (cells of notebooks) or text.

    `cell`: number of the cell, from 1, and `cell_id` where the notebook gives one; `line`: of the text, or within the
    cell, from 1; all None where the name fits. `text`: the line, or the path; `marks`: where in it the hits are
    (first character, character after the last).
    """

    path: str
    kind: str
    cell: int | None = None
    cell_id: str | None = None
    line: int | None = None
    text: str
    marks: list[tuple[int, int]]


class FileSearch(Wire):
    """Names first, then content, the best first. `more`: there are others; a longer text finds fewer.

    `checked_at`: when all files were last looked at, None if never yet; `waiting`: files that changed since and are
    still to be read; `is_cut`: there are more files than are searched.
    """

    items: list[FileHit]
    more: bool
    checked_at: datetime | None
    waiting: int
    is_cut: bool
