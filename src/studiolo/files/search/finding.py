"""Ask an index: words in names, in cells and in texts."""

import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from studiolo.contract.file_search import FileHit, FileSearch
from studiolo.files.names import sort_key
from studiolo.files.search.tables import find_index

MAX_HITS = 200
_MOST_WORDS = 12
_LINE_CHARACTERS = 160
# A private character each; what a text holds of them is taken for a mark, which colours a wrong piece at worst.
_BEGIN, _END = "\ue000", "\ue001"
_PARTS = re.compile(r'"([^"]+)"|(\S+)')
# Scripts without spaces between words: there a word is found by its characters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u2e80-\ud7ff\uf900-\ufaff]")


def find(index: Path, text: str, *, within: str = "", limit: int = 50) -> FileSearch:
    """Return what fits all words of `text`, in the folder `within`; the last word may be the beginning of one.

    Words in quotation marks stand side by side. Names fit wherever the word is in them; content by whole words, of
    which signs are borders: `read_csv` and `csv` find `pd.read_csv(`.
    """
    opened = find_index(index)
    if opened is None:
        return FileSearch(items=[], more=False, checked_at=None, waiting=0, is_cut=False)
    try:
        words = [quoted or plain for quoted, plain in _PARTS.findall(text)][:_MOST_WORDS]
        folder = f"{within.strip('/')}/" if within.strip("/") else ""
        names = _names(opened, words, folder, limit + 1) if words else []
        content = _content(opened, words, text, folder, limit + 1) if words else []
        checked_at, is_cut, waiting = opened.execute("SELECT checked_at, is_cut, waiting FROM state").fetchone()
    finally:
        opened.close()
    # Where both abound, half of each.
    kept = names[: max(limit - len(content), limit // 2)]
    kept += content[: limit - len(kept)]
    return FileSearch(
        items=kept,
        more=len(names) + len(content) > len(kept),
        checked_at=datetime.fromtimestamp(checked_at, UTC) if checked_at is not None else None,
        waiting=waiting,
        is_cut=bool(is_cut),
    )


def _names(opened: sqlite3.Connection, words: list[str], folder: str, limit: int) -> list[FileHit]:
    folded = [sort_key(word) for word in words]
    fits = " AND ".join("instr(folded, ?)" for _ in folded)
    rows = opened.execute(
        # Only question marks are joined here.
        f"SELECT path FROM files WHERE {fits} AND substr(path, 1, ?) = ? ORDER BY length(path), path LIMIT ?",  # noqa: S608
        (*folded, len(folder), folder, limit),
    )
    return [FileHit(path=path, kind="name", text=path, marks=_marks_of(path, words)) for (path,) in rows]


def _content(opened: sqlite3.Connection, words: list[str], text: str, folder: str, limit: int) -> list[FileHit]:
    columns = "SELECT path, kind, number, cell"
    joined = "JOIN cells ON cells.id = {} JOIN files ON files.id = cells.file"
    tail = "AND substr(path, 1, ?) = ?"
    by_word = all(any(letter.isalnum() for letter in word) for word in words) and not _UNSPACED.search(text)
    if by_word:
        rows = opened.execute(
            f"{columns}, highlight(words, 0, ?, ?) FROM words {joined.format('words.rowid')} "
            f"WHERE words MATCH ? {tail} ORDER BY rank LIMIT ?",
            (_BEGIN, _END, _expression(words, text), len(folder), folder, limit),
        )
        return [_hit(path, kind, number, cell, marked) for path, kind, number, cell, marked in rows]
    fits = " AND ".join("instr(cells.text, ?)" for _ in words)
    rows = opened.execute(
        f"{columns}, cells.text FROM cells JOIN files ON files.id = cells.file WHERE {fits} {tail} LIMIT ?",
        (*words, len(folder), folder, limit),
    )
    return [_hit(path, kind, number, cell, _marked(found, words)) for path, kind, number, cell, found in rows]


def _expression(words: list[str], text: str) -> str:
    """FTS5's language, of which nothing that was typed is a part: each word is a string."""
    strings = ['"' + word.replace('"', '""') + '"' for word in words]
    if text[-1:].isalnum() or text.endswith("_"):
        strings[-1] += "*"
    return " AND ".join(strings)


def _hit(path: str, kind: str, number: int | None, cell: str | None, marked: str) -> FileHit:
    lines = marked.split("\n")
    # Of several words, the line that has most.
    line = max(range(len(lines)), key=lambda number: lines[number].count(_BEGIN))
    shown = lines[line]
    # A long line begins shortly before its first hit.
    first = max(0, shown.find(_BEGIN) - _LINE_CHARACTERS // 2) if len(shown) > _LINE_CHARACTERS else 0
    shown = ("…" if first else "") + shown[first:].lstrip()
    plain, marks = _unmarked(shown)
    is_cell = kind != "text"
    return FileHit(
        path=path,
        kind=kind,
        cell=number if is_cell else None,
        cell_id=cell,
        line=line + (1 if is_cell else number or 1),
        text=plain[:_LINE_CHARACTERS],
        marks=[(begin, min(end, _LINE_CHARACTERS)) for begin, end in marks if begin < _LINE_CHARACTERS],
    )


def _unmarked(marked: str) -> tuple[str, list[tuple[int, int]]]:
    plain, marks = "", []
    for number, piece in enumerate(marked.split(_BEGIN)):
        hit, is_closed, rest = piece.partition(_END)
        if number and is_closed:
            marks.append((len(plain), len(plain) + len(hit)))
        plain += hit + rest
    return plain, marks


def _marked(text: str, words: list[str]) -> str:
    return re.sub("|".join(map(re.escape, words)), lambda found: f"{_BEGIN}{found[0]}{_END}", text)


def _marks_of(path: str, words: list[str]) -> list[tuple[int, int]]:
    found = re.finditer("|".join(map(re.escape, words)), path, re.IGNORECASE)
    return [match.span() for match in found]
