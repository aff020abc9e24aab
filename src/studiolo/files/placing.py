"""Giving something a name that is free, in one step: whoever was there first keeps it."""

import ctypes
import errno
import os
import stat
import sys

from studiolo.files.root import Place

_NO_REPLACE = 1
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def rename_new(folder: int, name: str, target: Place) -> None:
    """Rename `name` in an open folder to a name that nothing has. Durable when this returns.

    Raises OSError: FileExistsError, EXDEV for another file system, EINVAL for a folder into itself.
    """
    if not _rename_exclusively(folder, name, target):
        _rename_carefully(folder, name, target)
    os.fsync(target.folder)


def _rename_exclusively(folder: int, name: str, target: Place) -> bool:
    """Use Linux's renameat2; False where system or file system lack it."""
    if sys.platform != "linux":
        return False
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if call(folder, os.fsencode(name), target.folder, os.fsencode(target.name), _NO_REPLACE) == 0:
        return True
    number = ctypes.get_errno()
    # The same number tells of a folder into itself: the careful way tells them apart.
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), name)


def _rename_carefully(folder: int, name: str, target: Place) -> None:
    seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISDIR(seen.st_mode):
        os.link(name, target.name, src_dir_fd=folder, dst_dir_fd=target.folder, follow_symlinks=False)
        os.unlink(name, dir_fd=folder)
        return
    if target.stat() is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.name)
    # Onto a folder that was made this instant it succeeds only where that is empty.
    os.rename(name, target.name, src_dir_fd=folder, dst_dir_fd=target.folder)
