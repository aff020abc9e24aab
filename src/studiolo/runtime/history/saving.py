"""The one way in which a file is replaced: compared by content with what the writer knew, and never without a copy."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from studiolo.runtime.history.objects import digest
from studiolo.runtime.history.place import OURS, FileTooLongError, find_status, opened, read_file
from studiolo.runtime.history.versions import CONFLICT, MOST_BYTES, OUTSIDE, Version, Versions, is_versioned
from studiolo.runtime.history.writing import prepared

_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a save. `hash`: of what the file holds now. `is_written`: False also where it held that before.

    `conflict`: what was kept instead of written.
    """

    hash: str
    is_written: bool
    conflict: Version | None = None


def save(
    versions: Versions,
    folder: int,
    name: str,
    path: str,
    content: bytes,
    *,
    knows: str | None,
    by: str,
    how: str,
    yielding: bool = False,
) -> Outcome:
    """Replace the file `name` in an opened folder; `path`: its path in the workspace, under which versions are kept.

    `knows`: digest of what the writer believes the file to hold; None: whatever it holds. Where it holds something
    else, and not `content` either, nothing is written, and `content` is kept as a conflict. `yielding`: not even that,
    since the writer tries again; nor is a file that was removed made anew. What is replaced is kept first, if it is of
    a kind that has versions. The new content is on the disk when this returns; keeping it as a version, too, is left to
    the caller, who need not wait for that: it is kept before it is replaced.
    Raises OSError: the file is what it was, PermissionError, a full disk, or TimeoutError: another program saves, and
    does not end.
    """
    new = digest(content)
    status = find_status(folder, name)
    if status is not None and not os.access(name, os.W_OK, dir_fd=folder, effective_ids=True):
        raise PermissionError(errno.EACCES, "it may not be written", name)
    with (
        prepared(folder, content, like=status, attributes_of=name if status else None, mode=0o666) as put,
        locked(versions.root),
    ):
        old = _read(folder, name)
        held = digest(old) if old is not None else None
        if held == new:
            return Outcome(new, is_written=False)
        if held != knows and (yielding or None not in (held, knows)):
            kept = None if yielding else versions.keep(path, content, by=by, how=CONFLICT)
            return Outcome(held or "", is_written=False, conflict=kept)
        if old is not None and is_versioned(path, len(old)):
            keep_once(versions, path, old)
        put(name)
    return Outcome(new, is_written=True)


def keep_once(versions: Versions, path: str, content: bytes) -> None:
    """Keep what was found on the disk, unless it is kept already. Raises OSError."""
    if not versions.is_kept(path, digest(content)):
        versions.keep(path, content, by="", how=OUTSIDE)


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the workspace's files against other savers, for the time of a comparison and a rename.

    Waits for ten seconds; then raises TimeoutError. Where the file system has no locks, nobody is held.
    """
    with opened(root, (OURS, "history"), make=True) as folder:
        descriptor = os.open("lock", _LOCK, 0o600, dir_fd=folder)
    try:
        _acquire(descriptor)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int) -> None:
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError("another program has been saving in this workspace for ten seconds") from None
            time.sleep(0.005)
        except OSError:
            return
        else:
            return


def _read(folder: int, name: str) -> bytes | None:
    try:
        return read_file(folder, name, most=MOST_BYTES)[0]
    except (FileNotFoundError, FileTooLongError):
        # What is that long has no versions.
        return None
