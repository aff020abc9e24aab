"""Outputs of cells, written into a notebook that nobody has open.

Sources: nbformat 4.5 (cell ids; how Jupyter lays out the file), and architecture promise R11: a save leaves the old
or the new file, and a conflict is noticed by content.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic_core import from_json

from studiolo.contract.errors import InvalidInput
from studiolo.gateway.filling.cells import CellRun
from studiolo.gateway.filling.outputs import Output
from studiolo.gateway.journals.journal import MIB
from studiolo.gateway.journals.records import digest_code
from studiolo.runtime.history.objects import digest
from studiolo.runtime.history.place import opened, parts_of, read_file
from studiolo.runtime.history.saving import save
from studiolo.runtime.history.versions import Versions

MOST_BYTES = 100 * MIB
# As nbformat does: these kinds of text are kept line by line.
_ALSO_LINES = frozenset({"application/javascript", "image/svg+xml"})
# What versions say of where they are from.
_HOW = "kernel"

# What is to be said of a cell that ran at a time, seconds since 1970.
Record = Callable[[float], Mapping[str, Any]]


class UnusableNotebookError(InvalidInput):
    """Nothing can be written into this file. `reason`: why, the end of a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__("notebook-unusable", f"Output cannot be written into the notebook: {reason}.")
        self.reason = reason


class Saved(StrEnum):
    """What became of a notebook."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    # Somebody else wrote it meanwhile: nothing was changed, try again.
    CONFLICT = "conflict"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a notebook; `reason`: of a refusal, the end of a sentence."""

    saved: Saved
    reason: str = ""


def merge(notebook: bytes, runs: Mapping[str, CellRun], record: Record | None = None) -> bytes | None:
    """Return the notebook with the outputs of its cells that ran, None if that changes nothing.

    Only code cells whose source is what was run are touched; all else stays as it is, in its order and layout.
    `record`: what `metadata.studiolo` of those cells shall say, beside `at`: environment, resources, by when it ran.
    Raises UnusableNotebookError: no notebook, or older than cell ids (4.5).
    """
    document = _read(notebook)
    known = Counter(cell.get("id") for cell in document["cells"] if isinstance(cell.get("id"), str))
    changed = False
    for cell in document["cells"]:
        # A cell that was pasted twice by hand is nobody's.
        run = runs.get(cell["id"]) if known.get(cell.get("id")) == 1 else None
        if run is not None and cell.get("cell_type") == "code" and run.code == digest_code(_source(cell)):
            changed |= _put(cell, run, record)
    return _write(document, like=notebook) if changed else None


def write(
    root: Path, path: str, runs: Mapping[str, CellRun], record: Record | None = None, *, after: int = 0
) -> Outcome:
    """Write outputs into the notebook at `path`, relative to `root`; see merge. Blocks; raises nothing.

    `after`: the journal's number until which somebody saw all output. What changed no later is written only if the
    file was not saved since: whoever saved it may have cleared it.
    No link is followed beneath `root`. The file is replaced as a whole, with its mode and owner, and only if it is
    still what was read; what it held and what it gets are kept as versions.
    """
    try:
        *folders, name = parts_of(path)
        with opened(root, tuple(folders)) as folder:
            old, status = read_file(folder, name, most=MOST_BYTES)
            wanted = {cell: run for cell, run in runs.items() if run.last > after or run.changed_at > status.st_mtime}
            new = merge(old, wanted, record)
            return Outcome(Saved.UNCHANGED) if new is None else _replace(Versions(root), folder, path, old, new)
    except UnusableNotebookError as error:
        return Outcome(Saved.REFUSED, error.reason)
    except ValueError:
        return Outcome(Saved.REFUSED, "its path is not one beneath the folder")
    except TimeoutError:
        return Outcome(Saved.CONFLICT, "somebody else is saving in the same folder")
    except OSError as error:
        return Outcome(Saved.REFUSED, (error.strerror or "it cannot be opened").lower())


def _read(notebook: bytes) -> dict[str, Any]:
    document = None
    # The first is ten times quicker, and others wait for it; only the second takes half a surrogate pair.
    for read in (from_json, json.loads):
        with suppress(ValueError, RecursionError):
            document = read(notebook)
            break
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        raise UnusableNotebookError("it is no notebook of format 4")
    if not all(isinstance(cell, dict) for cell in document["cells"]):
        raise UnusableNotebookError("it is no notebook of format 4")
    version = (document.get("nbformat"), document.get("nbformat_minor"))
    if version[0] != 4 or not isinstance(version[1], int) or version[1] < 5:
        raise UnusableNotebookError("its format is older than 4.5, whose cells have ids")
    return document


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    return source if isinstance(source, str) else ""


def _put(cell: dict[str, Any], run: CellRun, record: Record | None) -> bool:
    outputs = [_as_lines(output) for output in run.outputs]
    if cell.get("outputs") == outputs and cell.get("execution_count") == run.execution_count:
        return False
    cell["outputs"] = outputs
    cell["execution_count"] = run.execution_count
    metadata = cell.get("metadata")
    if record is not None and isinstance(metadata, dict):
        at = datetime.fromtimestamp(run.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        was_sorted = list(metadata) == sorted(metadata)
        metadata["studiolo"] = {**record(run.at), "at": at}
        if was_sorted:
            cell["metadata"] = dict(sorted(metadata.items()))
    return True


def _as_lines(output: Output) -> Output:
    """Return an output as Jupyter writes it: texts in lines, members sorted."""
    shown = dict(output)
    if shown["output_type"] == "stream":
        shown["text"] = shown["text"].splitlines(True)
    elif "data" in shown:
        shown["data"] = {
            kind: value.splitlines(True)
            if isinstance(value, str) and (kind.startswith("text/") or kind in _ALSO_LINES)
            else value
            for kind, value in shown["data"].items()
        }
    lines: Output = json.loads(json.dumps(shown, sort_keys=True))
    return lines


def _write(document: dict[str, Any], *, like: bytes) -> bytes:
    layout = re.match(rb"\s*\{(\r?\n)([ \t]*)", like)
    indent = layout.group(2).decode() if layout else None
    spaced = re.match(rb'\s*\{\s*"[^"]*": ', like)
    separators = ("," if layout or not spaced else ", ", ": " if spaced else ":")
    end = like[len(like.rstrip()) :]
    try:
        text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8, only an escape.
        text = json.dumps(document, indent=indent, separators=separators).encode()
    return (text.replace(b"\n", b"\r\n") if layout and layout.group(1) == b"\r\n" else text) + end


def _replace(versions: Versions, folder: int, path: str, old: bytes, new: bytes) -> Outcome:
    name = PurePosixPath(path).name
    saved = save(versions, folder, name, path, new, knows=digest(old), by="", how=_HOW, yielding=True)
    if not saved.is_written:
        return Outcome(Saved.CONFLICT, "it was changed or removed meanwhile")
    # Otherwise whoever replaces it does this first.
    with suppress(OSError):
        versions.keep(path, new, by="", how=_HOW)
    return Outcome(Saved.WRITTEN)
