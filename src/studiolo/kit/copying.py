"""Copy a folder of files that people may be changing meanwhile: no file shared, no link followed. Blocking.

Where the file system can share blocks (reflink) it does, which is no sharing of files: a change of one stays there.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator

# FICLONE of linux/fs.h: _IOW(0x94, 9, int).
_FICLONE = 0x40049409
_BLOCK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_folder(here: int, there: int, *, skip: Callable[[str], bool] = lambda name: False) -> None:
    """Copy folders, files and links that lie in one open folder into another. `skip`: names to leave out.

    Modes and times are kept, hard links become files of their own, sockets and devices are left out, and so is what
    vanishes meanwhile. Raises OSError; the caller removes what was made by then.
    """
    with os.scandir(here) as entries:
        for entry in entries:
            if skip(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                _copy_inner(entry.name, here, there, skip)
            elif entry.is_symlink():
                with contextlib.suppress(FileNotFoundError):
                    os.symlink(os.readlink(entry.name, dir_fd=here), entry.name, dir_fd=there)
            elif entry.is_file(follow_symlinks=False):
                copy_file(entry.name, here, there)
    os.fchmod(there, stat.S_IMODE(os.fstat(here).st_mode) | stat.S_IRWXU)


def _copy_inner(name: str, here: int, there: int, skip: Callable[[str], bool]) -> None:
    try:
        inner = os.open(name, _FOLDER, dir_fd=here)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        os.mkdir(name, dir_fd=there)
        copy = os.open(name, _FOLDER, dir_fd=there)
        try:
            copy_folder(inner, copy, skip=skip)
        finally:
            os.close(copy)
    finally:
        os.close(inner)


def copy_file(name: str, here: int, there: int) -> None:
    """Copy a plain file from one open folder into another under its name; what is none any more is left out."""
    try:
        # Should somebody put a pipe in its place, opening must not wait for a writer.
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
    except FileNotFoundError:
        return
    try:
        seen = os.fstat(source)
        if not stat.S_ISREG(seen.st_mode):
            return
        copy = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR, dir_fd=there)
        try:
            fill(source, copy)
            # Never with the rights of another account.
            os.fchmod(copy, stat.S_IMODE(seen.st_mode) & ~(stat.S_ISUID | stat.S_ISGID))
            os.utime(copy, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        finally:
            os.close(copy)
    finally:
        os.close(source)


def fill(source: int, copy: int) -> None:
    """Give the open new file `copy` the content of the open file `source`; blocks are shared where they can be."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(copy, _FICLONE, source)
        return
    size = os.fstat(source).st_size
    # Holes stay holes: a sparse file of terabytes must not fill the disk.
    os.ftruncate(copy, size)
    for start, end in _data_of(source, size):
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(copy, start, os.SEEK_SET)
        _fill_part(source, copy, end - start)


def _data_of(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each part of a file that holds data; all of it where the file system cannot tell."""
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
            end = os.lseek(source, start, os.SEEK_HOLE)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return
            start, end = end, size
        yield start, end


def _fill_part(source: int, copy: int, left: int) -> None:
    try:
        while left > 0 and (copied := os.copy_file_range(source, copy, min(left, _BLOCK))):
            left -= copied
    except OSError as exc:
        if exc.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            raise
        while left > 0 and (block := os.read(source, min(left, _BLOCK))):
            # A disk that is nearly full takes a part and refuses the rest at the next call.
            left -= len(block)
            while block:
                block = block[os.write(copy, block) :]
