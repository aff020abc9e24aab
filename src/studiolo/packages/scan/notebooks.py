"""What a notebook holds: code, and secrets in its source, its outputs and its metadata."""

import json
from collections.abc import Iterator
from typing import Any

from studiolo.contract.scans import Finding, Place
from studiolo.packages.scan import rules
from studiolo.packages.scan.code import judge_cell
from studiolo.packages.scan.grounds import Grounds
from studiolo.packages.scan.rules import clipped
from studiolo.packages.scan.secrets import Keyed, find_secrets

_MOST_CELLS = 20_000
_MOST_OUTPUT = 256 * 1024
# Of a cell's outputs, in all: a log of gigabytes is looked into, not read.
_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/vnd")


def judge_notebook(content: bytes, path: str, grounds: Grounds, keyed: Keyed) -> Iterator[Finding]:
    """Yield what is to be said about a notebook. Whatever it holds is data: nothing raises."""
    whole = Place(path=path)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError, MemoryError) as exc:
        yield rules.UNREADABLE.found(whole, f"It is no notebook: {clipped(f'{type(exc).__name__}: {exc}')}", "json")
        return
    if not isinstance(document, dict) or not any(
        isinstance(document.get(key), list) for key in ("cells", "worksheets")
    ):
        yield rules.UNREADABLE.found(whole, "It is no notebook: it has no list of cells", "json")
        return
    yield from find_secrets(_flat(document.get("metadata")), whole, keyed, where="the notebook's metadata")
    cells = _cells(document)
    if len(cells) > _MOST_CELLS:
        yield rules.UNREADABLE.found(whole, f"It has {len(cells)} cells; {_MOST_CELLS} were read", "cells")
    is_python = _is_python(document)
    for number, cell in enumerate(cells[:_MOST_CELLS], 1):
        if isinstance(cell, dict):
            name = cell.get("id")
            place = Place(path=path, cell=name if isinstance(name, str) else f"#{number}", cell_number=number)
            yield from _judge_cell(cell, place, grounds, keyed, is_python=is_python)


def _judge_cell(
    cell: dict[str, Any], place: Place, grounds: Grounds, keyed: Keyed, *, is_python: bool
) -> Iterator[Finding]:
    source = _joined(cell.get("source", cell.get("input")))
    if cell.get("cell_type") == "code" and is_python:
        yield from judge_cell(source, place, grounds)
    yield from find_secrets(source, place, keyed)
    yield from find_secrets(_flat(cell.get("metadata")), place, keyed, where="the cell's metadata")
    left = _MOST_OUTPUT
    outputs = cell.get("outputs")
    for number, output in enumerate(outputs if isinstance(outputs, list) else [], 1):
        text = _text_of(output)[: max(left, 0)]
        left -= len(text)
        yield from find_secrets(text, place, keyed, where=f"output {number}")


def _text_of(output: Any) -> str:
    """Return what of an output is text; pictures are not looked into."""
    if not isinstance(output, dict):
        return ""
    pieces = [_joined(output.get("text")), _joined(output.get("traceback"), "\n"), _joined(output.get("evalue"))]
    data = output.get("data")
    for kind, value in data.items() if isinstance(data, dict) else ():
        if kind.startswith(_TEXT_TYPES):
            pieces.append(_joined(value) if isinstance(value, str | list) else _flat(value))
    pieces.append(_flat(output.get("metadata")))
    return "\n".join(piece for piece in pieces if piece)


def _cells(document: dict[str, Any]) -> list[Any]:
    cells = document.get("cells")
    if isinstance(cells, list):
        return cells
    # Notebooks of format 3.
    sheets = document.get("worksheets")
    found = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)] if isinstance(sheets, list) else []
    return [cell for one in found if isinstance(one, list) for cell in one]


def _is_python(document: dict[str, Any]) -> bool:
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    for key, name in (("kernelspec", "language"), ("language_info", "name")):
        told = metadata.get(key)
        if isinstance(told, dict) and isinstance(told.get(name), str):
            return str(told[name]).lower().startswith(("python", "ipython"))
    return True


def _joined(value: Any, between: str = "") -> str:
    if isinstance(value, str):
        return value
    return between.join(one for one in value if isinstance(one, str)) if isinstance(value, list) else ""


def _flat(value: Any) -> str:
    """Return a value of JSON as text with one member on a line, as `"name": "value"`."""
    if not value:
        return ""
    try:
        return json.dumps(value, indent=0, ensure_ascii=False)[:_MOST_OUTPUT]
    except (RecursionError, MemoryError, ValueError):
        return ""
