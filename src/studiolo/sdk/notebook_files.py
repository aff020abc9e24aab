"""Notebook files on this machine: read, and written again with more metadata and nothing else changed."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studiolo.contract.errors import InvalidInput
from studiolo.contract.notebook_environments import EnvironmentRestore, environment_in

_MOST_BYTES = 256 << 20


def read_notebook(file: Path) -> dict[str, Any]:
    """Return the content of a notebook's file. Raises InvalidInput (`notebook-unusable`)."""
    return _parse(_read(file), file)


def read_environment(file: Path) -> EnvironmentRestore:
    """Return what a notebook says of its environment. Raises InvalidInput (`notebook-unusable`), also if nothing."""
    told = environment_in(read_notebook(file))
    if not (told.hash or told.packages or told.conda):
        raise InvalidInput(
            "notebook-unusable",
            f"{file} does not say which environment it ran in.",
            hint="Run a cell and save it in a session, or where its packages are: studiolo environment stamp NOTEBOOK",
        )
    return told


def is_lock(file: Path) -> bool:
    """Tell by its name whether a file is an environment's lock (PEP 751) and no notebook."""
    return file.suffix == ".toml"


def read_text(file: Path) -> str:
    """Return the text of a file. Raises InvalidInput (`notebook-unusable`)."""
    return _read(file)


def stamp_file(file: Path, members: Mapping[str, Any]) -> None:
    """Set members of a notebook's `metadata.studiolo`; the file is replaced as a whole, in its layout.

    Raises InvalidInput (`notebook-unusable`).
    """
    text = _read(file)
    notebook = _parse(text, file)
    metadata = notebook.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise _unusable(file, "it has no metadata")
    known = metadata.get("studiolo")
    metadata["studiolo"] = {**(known if isinstance(known, dict) else {}), **members}
    layout = re.match(r"\s*\{(\r?\n)([ \t]*)", text)
    written = json.dumps(notebook, indent=layout.group(2) if layout else None, ensure_ascii=False)
    if layout:
        written = written.replace("\n", layout.group(1))
    _replace(file, written + text[len(text.rstrip()) :])


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise _unusable(file, "it is too large")
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no text"
        raise _unusable(file, why or "it cannot be read") from exc


def _parse(text: str, file: Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _unusable(file, "it is no JSON") from exc
    if not isinstance(found, dict) or not isinstance(found.get("cells"), list):
        raise _unusable(file, "it is no notebook of format 4")
    return found


def _replace(file: Path, text: str) -> None:
    real = file.resolve()
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=real.parent, prefix=f".{real.name}.", delete=False
        ) as fresh:
            fresh.write(text)
        place = Path(fresh.name)
        try:
            place.chmod(real.stat().st_mode & 0o7777)
            place.replace(real)
        except BaseException:
            place.unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise _unusable(file, f"it cannot be written ({exc.strerror})") from exc


def _unusable(file: Path, why: str) -> InvalidInput:
    return InvalidInput("notebook-unusable", f"{file} cannot be used as a notebook: {why}.", hint="Name a .ipynb file.")
