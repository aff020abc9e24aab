"""The private folder for sockets: short, owned by us, closed to everybody else."""

import os
import stat
from pathlib import Path

from studiolo.contract.errors import Unavailable

# Linux takes 107 bytes as a socket's address, macOS 103.
MAX_SOCKET_PATH = 103


def prepare(path: Path, *, longest_name: str) -> None:
    """Make the folder if needed and check it. `longest_name`: the longest socket name below it.

    Raises Unavailable (`run-directory-unusable`) when it is a link, another's, open to others, too long or
    cannot be made.
    """
    length = len(os.fsencode(path / longest_name))
    if length > MAX_SOCKET_PATH:
        raise _unusable(path, f"its sockets' paths would have {length} bytes, and the system takes {MAX_SOCKET_PATH}")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as exc:
        raise _unusable(path, f"it cannot be made ({exc.strerror})") from exc
    if not stat.S_ISDIR(found.st_mode):
        raise _unusable(path, "it is no folder")
    if found.st_uid != os.geteuid():
        raise _unusable(path, f"it belongs to another account (uid {found.st_uid})")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise _unusable(path, f"other accounts may enter it (mode {stat.S_IMODE(found.st_mode):o}, needed: 700)")


def _unusable(path: Path, why: str) -> Unavailable:
    return Unavailable(
        "run-directory-unusable",
        f"The folder for sockets, {path}, cannot be used: {why}.",
        hint="Remove it, or name another one: STUDIOLO_RUN_DIR=/short/private/folder.",
    )
