"""Is the data directory fit to hold a platform? Each way in which it is not has its own message."""

import os
import shutil
import stat
from pathlib import Path

from studiolo.contract.errors import StudioloError, Unavailable
from studiolo.kit.filesystem import filesystem_type, is_network, try_to_write
from studiolo.server.settings import Settings

MIN_FREE_BYTES = 64 * 1024 * 1024
# A Caddyfile would take these for its own syntax.
_RESERVED = frozenset('{}"\\`\n\r$')
_OTHER_DIRECTORY = "Name another one with --data-dir or STUDIOLO_DATA_DIR."


def prepare_data_directory(settings: Settings) -> None:
    """Make the data directory if needed and check it.

    Raises Unavailable (`data-directory-unusable`, `read-only`, `disk-full`).
    """
    path = settings.data_dir
    _check_name(path)
    _make(path)
    check_owner(path)
    check_filesystem(settings)
    check_space(path)
    check_writable(path)


def check_owner(path: Path) -> None:
    """Raise Unavailable unless it is a folder of this account that only it may write."""
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise _unusable(path, f"it belongs to another account (uid {found.st_uid}), this is uid {os.geteuid()}")
    if stat.S_IMODE(found.st_mode) & 0o022:
        hint = f"chmod go-w {path}"
        raise _unusable(path, "other accounts may write to it, and could take over the platform", hint)


def check_filesystem(settings: Settings) -> None:
    """Raise Unavailable if SQLite would lie on another machine's disk, where its locks do not hold."""
    kind = filesystem_type(settings.data_dir)
    if settings.database_url is None and is_network(kind):
        hint = f"SQLite needs a local disk. {_OTHER_DIRECTORY} Or use PostgreSQL: STUDIOLO_DATABASE_URL."
        raise _unusable(settings.data_dir, f"it lies on a network file system ({kind})", hint)


def check_space(path: Path) -> None:
    """Raise Unavailable if the disk is as good as full."""
    free = shutil.disk_usage(path).free
    if free < MIN_FREE_BYTES:
        raise Unavailable(
            "disk-full",
            f"Only {free // 2**20} MiB are free on the disk of {path}; at least {MIN_FREE_BYTES // 2**20} are needed.",
            hint=f"Free some space, or use another disk. {_OTHER_DIRECTORY}",
        )


def check_writable(path: Path) -> None:
    """Raise Unavailable if nothing can be written there."""
    try:
        try_to_write(path)
    except OSError as exc:
        raise Unavailable(
            "read-only", f"The data directory {path} cannot be written: {exc.strerror}.", hint=_OTHER_DIRECTORY
        ) from exc


def _check_name(path: Path) -> None:
    if wrong := _RESERVED.intersection(str(path)):
        raise _unusable(path, f"its path contains {' '.join(sorted(map(repr, wrong)))}")


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as exc:
        raise _unusable(path, "it is a file") from exc
    except OSError as exc:
        raise _unusable(path, f"it cannot be made ({exc.strerror})") from exc


def _unusable(path: Path, why: str, hint: str = _OTHER_DIRECTORY) -> StudioloError:
    return Unavailable("data-directory-unusable", f"The data directory {path} cannot be used: {why}.", hint=hint)
