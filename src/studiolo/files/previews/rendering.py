"""From an open file to its preview: which kind it is, how much is read, who renders it. Runs in a worker."""

import os
from pathlib import PurePath
from typing import Any

from studiolo.contract.sizes import describe_size
from studiolo.files.previews import bounds, markup, notebooks, pictures, tables
from studiolo.files.previews.page import notice, style, too_large

_MARKDOWN = (".md", ".markdown")
_SEPARATED = (".csv", ".tsv", ".tab")
_PARQUET = (".parquet", ".pq")


def prepare() -> None:
    """Load what previews need, so that the first comes at once."""
    style()
    notebooks.prepare()


def render_into(source: int, target: int, *, name: str) -> dict[str, Any]:
    """Write the preview of the file open at `source`, called `name`, to the file open at `target`."""
    html = render(source, name)
    with os.fdopen(target, "wb") as file:
        file.write(html.encode("utf-8", errors="replace"))
    return {}


def render(source: int, name: str) -> str:
    """Return the document that shows a file (an open descriptor), by its name and its first bytes."""
    size = os.fstat(source).st_size
    suffix = PurePath(name).suffix.lower()
    if size == 0:
        return notice("This file is empty.")
    if suffix == ".ipynb":
        return _whole(source, size, bounds.MAX_NOTEBOOK, "notebook", notebooks.render)
    if suffix in _MARKDOWN:
        return _whole(source, size, bounds.MAX_MARKDOWN, "Markdown file", markup.render_markdown)
    if suffix in _SEPARATED:
        return tables.render_separated(_read(source, max(bounds.MAX_TABLE_HEAD, _if_counted(size))), size, name)
    if suffix in _PARQUET:
        with os.fdopen(os.dup(source), "rb") as file:
            return tables.render_parquet(file, size)
    if suffix in pictures.IMAGES:
        return _whole(source, size, bounds.MAX_IMAGE, "image", lambda read: pictures.render_image(read, suffix))
    if suffix == ".pdf":
        return _whole(source, size, bounds.MAX_PDF, "PDF", pictures.render_pdf)
    head = _read(source, bounds.MAX_TEXT)
    if markup.looks_like_text(head):
        return markup.render_text(head, size, name)
    kind = f"{suffix[1:]} file" if suffix else "file"
    return notice(f"There is no preview of this {kind}.", "Download it to look inside.", facts=(describe_size(size),))


def _if_counted(size: int) -> int:
    return size if size <= bounds.MAX_COUNTED else 0


def _whole(source: int, size: int, limit: int, what: str, render_content: Any) -> str:
    if size > limit:
        return too_large(what, size, limit)
    document: str = render_content(_read(source, limit))
    return document


def _read(source: int, most: int) -> bytes:
    """Return up to `most` bytes from the beginning; others may read the same description at another place."""
    pieces, at = [], 0
    while at < most and (piece := os.pread(source, min(most - at, bounds.MIB), at)):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)
