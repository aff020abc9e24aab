"""Copy one file of somebody who may be writing to it: whole, with its hash. Blocking."""

import hashlib
import os
import stat
import time

from studiolo.kit.copying import fill

_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_COPY = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 20
_TRIES = 5
_PAUSE_SECONDS = 0.2


def copy_settled(handle: int, name: str, target: str) -> tuple[os.stat_result, str, bool] | None:
    """Copy the file `name` of an open folder to the path `target`; return what it was, its SHA-256, and if it is whole.

    If the file changes meanwhile it is copied again, after a moment; one that never keeps still stays as last copied,
    and is not whole. None, and nothing at `target`: it is no plain file any more. Raises OSError.
    """
    for attempt in range(_TRIES):
        time.sleep(attempt * _PAUSE_SECONDS)
        source = os.open(name, _SOURCE, dir_fd=handle)
        try:
            before = os.fstat(source)
            if not stat.S_ISREG(before.st_mode):
                return None
            digest = _copy(source, before, target)
            # A save that renames a new file into place leaves this one as it was: whole.
            if _same(before, os.fstat(source)):
                return before, digest, True
        finally:
            os.close(source)
    return before, digest, False


def _copy(source: int, seen: os.stat_result, target: str) -> str:
    copy = os.open(target, _COPY, 0o600)
    try:
        fill(source, copy)
        digest = _hash(copy)
        os.fchmod(copy, stat.S_IMODE(seen.st_mode) & ~(stat.S_ISUID | stat.S_ISGID))
        os.utime(copy, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        if hasattr(os, "posix_fadvise"):
            # Running sessions need the machine's memory more than a copy that nobody reads.
            os.posix_fadvise(copy, 0, 0, os.POSIX_FADV_DONTNEED)
        return digest
    finally:
        os.close(copy)


def _hash(file: int) -> str:
    """Return the SHA-256 (hex) of an open file."""
    digest, at = hashlib.sha256(), 0
    while block := os.pread(file, _BLOCK, at):
        digest.update(block)
        at += len(block)
    return digest.hexdigest()


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
