"""Where the platform keeps what, and which of it can be made or loaded again. Blocking; links are not followed."""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studiolo.contract.disk import Freeable
from studiolo.kit.measuring import measure

# Logs that were set aside when they grew, and those of launches that ended.
_OLD_LOGS = ("logs/*.log.[0-9]*", "sessions/*/log.[0-9]*")


@dataclass(frozen=True, slots=True)
class Place:
    """`patterns`: below the data directory. `free_as`: what an administrator may release."""

    name: str
    words: str
    patterns: tuple[str, ...]
    free_as: Freeable | None = None


# Not what the index remembers of them: by that it notices a file that was changed.
_FETCHED = ("packages/blobs", "packages/metadata")
PLACES = (
    Place("workspaces", "Files of people, with their versions and trash.", ("workspaces",)),
    Place("environments", "Packages; what several share counts once each.", ("environments",)),
    Place("kernels", "Output of kernels.", ("kernels",)),
    Place("backups", "Kept as settings say.", ("backups",)),
    Place("database", "Accounts, sessions, the record of changes.", ("studiolo.db*", "ballast")),
    Place("caches", "What tools of people can load again.", ("people/*/*/cache",), "caches"),
    Place("previews", "Previews and search indexes, made again when asked for.", ("cache/*",), "previews"),
    Place("packages", "Files of package indexes, fetched again when asked for.", _FETCHED, "packages"),
    Place("logs", "Older parts of logs.", _OLD_LOGS, "logs"),
    Place("discarded", "Files that resets put aside; erased by themselves in time.", ("discarded",), "discarded"),
)


def find(data_dir: Path, place: Place) -> Iterator[Path]:
    """Return the files and folders of a place."""
    for pattern in place.patterns:
        yield from (path for path in data_dir.glob(pattern) if not path.is_symlink())


def release(data_dir: Path, place: Place) -> int:
    """Remove what lies in a place; return the bytes that were there. What is in use is made again."""
    freed = 0
    for path in find(data_dir, place):
        freed += measure(iter([path]), time.monotonic() + 60)[0]
        if path.is_dir():
            # The folder itself stays: who writes into it holds it open.
            for entry in os.scandir(path):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink(missing_ok=True)
        else:
            path.unlink(missing_ok=True)
    return freed
