"""Which processes of a session are kernels and terminals, and what people call them.

The server knows and writes it down; the shim reads it when something was killed for lack of memory.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from studiolo.runtime.launch import read_json, write_json


class Part(NamedTuple):
    """A process of a session. `what`: kernel or terminal; `name`: the notebook's path or the terminal's name."""

    pid: int
    start_time: str
    what: str
    name: str | None


def write_parts(file: Path, parts: Sequence[Part]) -> None:
    """Replace what `file` says. Raises OSError."""
    write_json(file, {"parts": parts})


def read_parts(file: Path) -> list[Part]:
    """Return what a server wrote last, less what makes no sense: programs of a session can write it too."""
    written = (read_json(file) or {}).get("parts")
    return [Part(*part) for part in written if _is_part(part)] if isinstance(written, list) else []


def _is_part(part: object) -> bool:
    return (
        isinstance(part, list)
        and [type(member) for member in part[:3]] == [int, str, str]
        and len(part) == len(Part._fields)
        and isinstance(part[3], str | None)
        and part[2] in ("kernel", "terminal")
    )
