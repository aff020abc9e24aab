"""Folders and files beneath a workspace, opened part by part: no link is followed, whoever planted it."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from studiolo.runtime.acting import opened_by_owner

OURS = ".studiolo"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
# Not blocking: a pipe under the name would hold us up for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotPlainFileError(OSError):
    """There is something else than a file of bytes."""

    def __init__(self, name: str) -> None:
        super().__init__(errno.EINVAL, "it is no plain file", name)


class FileTooLongError(OSError):
    """A file is longer than may be read at once; `most`: the bound in bytes."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(errno.EFBIG, f"it is longer than {most // 1024 // 1024} MiB", name)


def parts_of(path: str) -> tuple[str, ...]:
    """Return the parts of a path relative to a workspace. Raises ValueError: it could lead elsewhere, or nowhere."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise ValueError(f"no path beneath a folder: {path!r}")
    return parts


@contextmanager
def opened(root: Path, parts: tuple[str, ...] = (), *, make: bool = False, mode: int = 0o700) -> Iterator[int]:
    """Open the folder `parts` beneath `root` as a descriptor. `make`: what is missing is made, with `mode`.

    Until the end of the block this thread acts as the owner of `root` (see acting): no `await` belongs inside.
    Raises OSError: FileNotFoundError; NotADirectoryError or ELOOP where a part is a link.
    """
    with opened_by_owner(root) as top:
        folder = os.dup(top)
        try:
            for part in parts:
                inner = _enter(folder, part, mode if make else None)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)


def read_file(folder: int, name: str, *, most: int) -> tuple[bytes, os.stat_result]:
    """Return a file's bytes and status. Raises FileTooLongError, NotPlainFileError, other OSError."""
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotPlainFileError(name)
        if status.st_size > most:
            raise FileTooLongError(name, most)
        content = file.read(most + 1)
    if len(content) > most:
        raise FileTooLongError(name, most)
    return content, status


def find_status(folder: int, name: str) -> os.stat_result | None:
    """Return the status of what has a name in a folder, a link's own; None: nothing has it."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def list_names(folder: int) -> list[str]:
    """Return the names in a folder, in no order."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _enter(folder: int, part: str, make_mode: int | None) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if make_mode is None:
            raise
    try:
        os.mkdir(part, make_mode, dir_fd=folder)
        os.fsync(folder)
    except FileExistsError:
        # Made by somebody else meanwhile.
        pass
    return os.open(part, _FOLDER, dir_fd=folder)
