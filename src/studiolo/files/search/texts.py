"""What of a file is searched: the source of a notebook's cells, or a text, in pieces."""

import json
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple

from studiolo.files.previews.markup import looks_like_text

MAX_NOTEBOOK = 50 * 2**20
MAX_TEXT = 2**20
_MAX_CELL = 256 * 1024
_LINES = 40
_TEXTS = frozenset(
    [
        ".py",
        ".r",
        ".jl",
        ".md",
        ".markdown",
        ".txt",
        ".rst",
        ".sql",
        ".sh",
        ".yaml",
        ".yml",
        ".toml",
        ".cfg",
        ".ini",
        ".tex",
        ".js",
        ".ts",
        ".css",
        ".html",
        ".c",
        ".h",
        ".cpp",
        ".rs",
        ".go",
        ".java",
        ".scala",
        ".lua",
        ".pl",
        ".rb",
        ".m",
    ]
)


class Piece(NamedTuple):
    """A searched text. `number`: of the cell, or of the text's first line, from 1; `cell`: the cell's id."""

    number: int
    cell: str | None
    kind: str
    text: str


def limit_of(name: str) -> int:
    """Return the most bytes at which a file of this name is read; 0: it is found by its name alone."""
    suffix = PurePath(name).suffix.lower()
    if suffix == ".ipynb":
        return MAX_NOTEBOOK
    return MAX_TEXT if suffix in _TEXTS else 0


def pieces_of(name: str, content: bytes) -> Iterator[Piece]:
    """Yield what is searched; nothing for content that is not what its name says."""
    if name.lower().endswith(".ipynb"):
        yield from _cells(content)
    elif looks_like_text(content):
        lines = content.decode("utf-8", errors="replace").splitlines()
        for first in range(0, len(lines), _LINES):
            yield Piece(first + 1, None, "text", "\n".join(lines[first : first + _LINES])[:_MAX_CELL])


def _cells(content: bytes) -> Iterator[Piece]:
    try:
        notebook = json.loads(content)
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        for number, cell in enumerate(cells, 1):
            source = cell.get("source", cell.get("input", ""))
            text = "".join(source) if isinstance(source, list) else str(source)
            if text.strip():
                cell_id = cell.get("id")
                kind = str(cell.get("cell_type", "code"))[:20]
                yield Piece(number, _text(cell_id)[:64] if cell_id else None, _text(kind), _text(text[:_MAX_CELL]))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return


def _text(value: object) -> str:
    """JSON can hold half a character; a database cannot."""
    return str(value).encode("utf-8", errors="replace").decode()
