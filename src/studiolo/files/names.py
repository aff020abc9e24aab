"""Names and paths of files: which are possible, and which are for new files."""

import os
import re
import unicodedata
from collections.abc import Iterable

from studiolo.contract.errors import InvalidInput
from studiolo.contract.paths import from_wire as from_wire
from studiolo.contract.paths import is_text as is_text
from studiolo.contract.paths import to_wire as to_wire

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4096
# Each folder on the way is an open handle.
MAX_DEPTH = 200
# Versions, trash and uploads in the making lie here; no path leads in, at any depth: workspaces may lie in each other.
OURS = ".studiolo"

_CONTROL = re.compile("[\x00-\x1f\x7f\u2028\u2029]")


def parts_of(path: str) -> tuple[str, ...]:
    """Return the components of a path as it travels, as the system holds them; empty for the workspace itself.

    `/` at either end, doubled ones and `.` mean nothing. Raises InvalidInput (`name-invalid`, `name-reserved`,
    `path-outside` for `..`).
    """
    try:
        raw = from_wire(path)
    except UnicodeEncodeError as exc:
        raise _invalid(path, "holds half a character") from exc
    if len(os.fsencode(raw)) > MAX_PATH_BYTES:
        raise _invalid(path, f"is longer than {MAX_PATH_BYTES} bytes")
    return check_parts(part for part in raw.split("/") if part not in ("", "."))


def check_parts(parts: Iterable[str]) -> tuple[str, ...]:
    """Return components that may be looked up. Raises as `parts_of`."""
    checked = tuple(parts)
    if len(checked) > MAX_DEPTH:
        raise too_deep("/".join(map(to_wire, checked)))
    for part in checked:
        if part == "..":
            raise outside("/".join(map(to_wire, checked)))
        if "\0" in part:
            raise _invalid(to_wire(part), "holds a zero byte")
        if len(os.fsencode(part)) > MAX_NAME_BYTES:
            raise _invalid(to_wire(part), f"is longer than {MAX_NAME_BYTES} bytes")
        if is_ours(part):
            raise InvalidInput(
                "name-reserved",
                f"{OURS!r} is where Studiolo keeps versions and deleted files of this workspace; no path leads there.",
                hint="Earlier versions and deleted files have pages and commands of their own.",
            )
    return checked


def new_parts_of(path: str) -> tuple[str, ...]:
    """Return the components of a path at which something new may be made: its last one is plain text.

    Raises as `parts_of`; InvalidInput (`name-invalid`) for the workspace itself, control characters and bytes
    that are no text.
    """
    parts = parts_of(path)
    if not parts:
        raise InvalidInput("name-invalid", "A name is missing.", hint="Say under which name: folder/name.")
    if not is_text(parts[-1]):
        raise _invalid(path, "holds bytes that are no text (UTF-8)")
    if _CONTROL.search(parts[-1]):
        raise _invalid(path, "holds a line break or another control character")
    return parts


def is_ours(name: str) -> bool:
    """Tell whether a component is Studiolo's own folder, also where file systems ignore case."""
    return len(name) == len(OURS) and name.casefold() == OURS


def sort_key(name: str) -> str:
    """Return the text that a name is sorted and looked for by: without case, composed."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def outside(path: str) -> InvalidInput:
    """The error for what leads out of the workspace."""
    return InvalidInput(
        "path-outside",
        f"{path[:200]!r} leads out of the workspace.",
        hint="Only what lies in the workspace's folder can be reached.",
    )


def too_deep(path: str) -> InvalidInput:
    """The error for a path of too many folders."""
    return _invalid(path, f"lies deeper than {MAX_DEPTH} folders")


def _invalid(name: str, why: str) -> InvalidInput:
    shown = name if len(name) <= 80 else f"{name[:77]}…"
    return InvalidInput("name-invalid", f"The name {shown!r} {why}.", hint="Choose another name.")
