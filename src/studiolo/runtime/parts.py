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
    """Return what a server wrote last; nothing when it wrote nothing that can be read."""
    written = (read_json(file) or {}).get("parts", [])
    return [Part(*part) for part in written if isinstance(part, list) and len(part) == len(Part._fields)]
