"""Writing a file so that it is the old or the new one, whole, whatever is killed, and no part of it stays behind."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex

_UNNAMED = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
_NAMED = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


@contextmanager
def prepared(
    folder: int, content: bytes, *, like: os.stat_result | None = None, attributes_of: str | None = None, mode: int
) -> Iterator[Callable[[str], None]]:
    """Write `content` to the disk beside where it shall lie; yield what puts it under a name, in one step.

    `like`: whose mode and owner it gets, else `mode` less the process's mask. `attributes_of`: the file in the folder
    whose extended attributes (access lists, say) it gets. What was put is durable. Raises OSError (a full disk, say):
    nothing has changed then.
    """
    beside = f".studiolo-{token_hex(8)}"
    descriptor, is_named = _create(folder, beside, mode)

    def put(name: str) -> None:
        if not is_named:
            # The only way to give the nameless file a name; /proc's entry is followed to the file itself.
            os.link(f"/proc/self/fd/{descriptor}", beside, dst_dir_fd=folder, follow_symlinks=True)
        os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)

    try:
        write_all(descriptor, content)
        if attributes_of is not None:
            _copy_attributes(folder, attributes_of, descriptor)
        if like is not None:
            _become_like(descriptor, like)
        os.fsync(descriptor)
        yield put
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)


def write_all(descriptor: int, content: bytes) -> None:
    """Write all bytes. Raises OSError."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _create(folder: int, beside: str, mode: int) -> tuple[int, bool]:
    # Without a name it vanishes with whoever is killed.
    try:
        return os.open(".", _UNNAMED, mode, dir_fd=folder), False
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            raise
    return os.open(beside, _NAMED, mode, dir_fd=folder), True


def _become_like(descriptor: int, like: os.stat_result) -> None:
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
        # Who may write into another's file and its folder may still not give files away.
        with suppress(PermissionError):
            os.fchown(descriptor, like.st_uid, like.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(like.st_mode))


def _copy_attributes(folder: int, name: str, descriptor: int) -> None:
    with suppress(OSError):
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            for attribute in os.listxattr(source):
                os.setxattr(descriptor, attribute, os.getxattr(source, attribute))
        finally:
            os.close(source)
