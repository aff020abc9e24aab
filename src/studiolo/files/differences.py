"""How two contents of a file differ, for people to read. Runs in a worker: what it reads is foreign.

Cells are matched by nbdime (Jupyter's own tool for that); what is told of them is ours, and bounded.
"""

import difflib
import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from studiolo.contract.versions import CellChange, CellDifference, FileDifference, LineChange, LineDifference

# Imported where it is used: it builds a grammar for more than a second, and the control plane compares only text.
if TYPE_CHECKING:
    from nbformat import NotebookNode

_MOST_LINES = 4000
_MOST_CELLS = 500
_LONGEST_LINE = 500
_AROUND = 3
# Beyond this many lines on either side, finding what they have in common takes too long.
_MOST_COMPARED = 10_000
Cell = dict[str, Any]


def compare_into(before: int, after: int, target: int, *, path: str, names: list[str]) -> dict[str, Any]:
    """Write the difference of two open files, as JSON of FileDifference, to the one open at `target`."""
    contents = []
    for source in (before, after):
        with os.fdopen(source, "rb") as file:
            contents.append(file.read())
    found = compare(contents[0], contents[1], path=path, names=(names[0], names[1]))
    with os.fdopen(target, "wb") as file:
        file.write(found.model_dump_json().encode())
    return {}


def compare(before: bytes, after: bytes, *, path: str, names: tuple[str, str]) -> FileDifference:
    """Return how two contents differ; `names`: what they are called in the answer."""
    told = FileDifference(
        path=path,
        before=names[0],
        after=names[1],
        is_notebook=False,
        is_comparable=True,
        same_cells=0,
        has_other_metadata=False,
        cells=[],
        lines=[],
        is_cut=False,
    )
    if path.endswith(".ipynb"):
        notebooks = [_read(content) for content in (before, after)]
        if notebooks[0] is not None and notebooks[1] is not None:
            return _compare_notebooks(told, notebooks[0], notebooks[1])
    try:
        lines = list(_lines(before.decode().splitlines(), after.decode().splitlines()))
    except UnicodeDecodeError:
        return told.model_copy(update={"is_comparable": False})
    return told.model_copy(update={"lines": lines[:_MOST_LINES], "is_cut": len(lines) > _MOST_LINES})


def _compare_notebooks(told: FileDifference, before: "NotebookNode", after: "NotebookNode") -> FileDifference:
    cells: list[CellDifference] = []
    same, left, is_cut = 0, _MOST_LINES, False
    for number_before, number_after in _match(before, after):
        cell = _compare_cells(
            before.cells[number_before] if number_before is not None else None,
            after.cells[number_after] if number_after is not None else None,
        )
        if cell is None:
            same += 1
            continue
        numbers = {"before": _counted(number_before), "after": _counted(number_after), "lines": cell.lines[:left]}
        is_cut |= len(cell.lines) > left or len(cells) >= _MOST_CELLS
        left = max(0, left - len(cell.lines))
        if len(cells) < _MOST_CELLS:
            cells.append(cell.model_copy(update=numbers))
    return told.model_copy(
        update={
            "is_notebook": True,
            "same_cells": same,
            "has_other_metadata": before.metadata != after.metadata,
            "cells": cells,
            "is_cut": is_cut,
        }
    )


def _match(before: "NotebookNode", after: "NotebookNode") -> Iterator[tuple[int | None, int | None]]:
    """Yield the places of each cell in both notebooks, in the order in which they are read; None: not there."""
    # Imported here: it is heavy, and the host needs it rarely.
    from nbdime.diffing.notebooks import (  # type: ignore[import-untyped]
        diff_notebooks,
        set_notebook_diff_targets,
    )

    set_notebook_diff_targets(outputs=False, attachments=False, metadata=False, identifier=False, details=False)
    changes: list[Any] = next((change.diff for change in diff_notebooks(before, after) if change.key == "cells"), [])
    place_before = place_after = 0
    for change in changes:
        while place_before < change.key:
            yield place_before, place_after
            place_before, place_after = place_before + 1, place_after + 1
        if change.op == "addrange":
            for _ in change.valuelist:
                yield None, place_after
                place_after += 1
        elif change.op == "removerange":
            for _ in range(change.length):
                yield place_before, None
                place_before += 1
    while place_before < len(before.cells):
        yield place_before, place_after
        place_before, place_after = place_before + 1, place_after + 1


def _compare_cells(before: Cell | None, after: Cell | None) -> CellDifference | None:
    """Return how a cell differs; None: in nothing that people look at."""
    sources = [_source(cell) for cell in (before, after)]
    outputs = [_outputs(cell) for cell in (before, after)]
    kinds = [cell.get("cell_type") for cell in (before, after) if cell is not None]
    if before is not None and after is not None:
        if sources[0] == sources[1] and outputs[0] == outputs[1] and kinds[0] == kinds[1]:
            return None
        change = CellChange.CHANGED
    else:
        change = CellChange.ADDED if before is None else CellChange.REMOVED
    return CellDifference(
        change=change,
        kind=str(kinds[-1]),
        before=None,
        after=None,
        lines=list(_lines(sources[0], sources[1])),
        has_other_outputs=outputs[0] != outputs[1],
        output_bytes_before=len(outputs[0]),
        output_bytes_after=len(outputs[1]),
    )


def _lines(before: list[str], after: list[str]) -> Iterator[LineDifference]:
    if max(len(before), len(after)) > _MOST_COMPARED:
        blocks: Sequence[tuple[str, int, int, int, int]] = [("replace", 0, len(before), 0, len(after))]
    else:
        blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for number, (kind, begin, end, new_begin, new_end) in enumerate(blocks):
        if kind == "equal":
            yield from _same(before[begin:end], is_first=number == 0, is_last=number == len(blocks) - 1)
            continue
        yield from (_line(LineChange.REMOVED, text) for text in before[begin:end])
        yield from (_line(LineChange.ADDED, text) for text in after[new_begin:new_end])


def _same(lines: list[str], *, is_first: bool, is_last: bool) -> Iterator[LineDifference]:
    head, tail = (0 if is_first else _AROUND), (0 if is_last else _AROUND)
    left_out = len(lines) - head - tail
    if left_out <= 1:
        yield from (_line(LineChange.SAME, text) for text in lines)
        return
    yield from (_line(LineChange.SAME, text) for text in lines[:head])
    yield LineDifference(change=LineChange.LEFT_OUT, text=f"{left_out} lines are the same")
    yield from (_line(LineChange.SAME, text) for text in lines[len(lines) - tail :])


def _line(change: LineChange, text: str) -> LineDifference:
    shown = text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}…"
    # Half a surrogate pair has no UTF-8.
    return LineDifference(change=change, text=shown.encode(errors="replace").decode())


def _read(content: bytes) -> "NotebookNode | None":
    """Return a notebook in format 4; None for anything else."""
    import nbformat

    try:
        notebook = nbformat.reads(content.decode(), as_version=4)
        return notebook if all(isinstance(_source(cell), list) for cell in notebook.cells) else None
    # The border of foreign content: nbformat raises whatever its readers meet.
    except Exception:
        return None


def _source(cell: Cell | None) -> list[str]:
    return str(cell.get("source", "")).splitlines() if cell is not None else []


def _outputs(cell: Cell | None) -> str:
    outputs = cell.get("outputs") if cell is not None else None
    return json.dumps(outputs, sort_keys=True) if outputs else ""


def _counted(place: int | None) -> int | None:
    return None if place is None else place + 1
