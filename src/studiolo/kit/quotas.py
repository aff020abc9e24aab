"""Project quotas of Linux file systems (ext4, XFS): files have a number, and those of one number may take so much.

Source: quotactl_fd(2) (Linux 5.14), linux/quota.h, linux/dqblk_xfs.h, ioctl_xfs_fsgetxattr(2). Blocking.
"""

import ctypes
import fcntl
import os
import stat
import struct
import sys
from contextlib import suppress
from pathlib import Path

# Its number is the same wherever Python 3.11 runs on Linux.
_QUOTACTL_FD = 443
# QCMD(Q_GETQUOTA, PRJQUOTA), the same of Q_SETQUOTA and Q_XGETQSTAT.
_GET, _SET, _STATE = 0x80000702, 0x80000802, 0x00580502
# struct if_dqblk: hard and soft limit in KiB, bytes used, then the same of inodes, times, and which of it is meant.
_BLOCK = struct.Struct("=8QI4x")
_LIMITS = 1
# struct fs_quota_stat begins with a version, then flags; the rest is not ours.
_STATE_BYTES = 256
_FLAGS = struct.Struct("=2xH")
_ENFORCED = 1 << 5
# struct fsxattr: flags, two of extents, the number, one more of extents.
_ATTRIBUTES = struct.Struct("=5I8x")
_GET_ATTRIBUTES, _SET_ATTRIBUTES = 0x801C581F, 0x401C5820
_INHERITED = 0x200
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_enforced(folder: Path) -> bool:
    """Tell whether the file system of a folder refuses what goes beyond projects' limits."""
    if sys.platform != "linux":
        return False
    state = ctypes.create_string_buffer(_STATE_BYTES)
    try:
        _call(folder, _STATE, 0, state)
    except OSError:
        return False
    return bool(_FLAGS.unpack_from(state)[0] & _ENFORCED)


def limit(folder: Path, number: int, most_bytes: int) -> None:
    """Have all files with a number take at most so much on a folder's file system; 0: any. Raises OSError."""
    block = _BLOCK.pack(-(-most_bytes // 1024), *(0,) * 7, _LIMITS)
    _call(folder, _SET, number, ctypes.create_string_buffer(block, len(block)))


def used(folder: Path, number: int) -> int:
    """Return how many bytes all files with a number take. Raises OSError."""
    block = ctypes.create_string_buffer(_BLOCK.size)
    _call(folder, _GET, number, block)
    return int(_BLOCK.unpack(block.raw)[2])


def number_of(folder: Path) -> int:
    """Return the number of a folder, 0 if it has none. Raises OSError."""
    descriptor = os.open(folder, _FOLDER)
    try:
        return int(_read(descriptor)[3])
    finally:
        os.close(descriptor)


def mark(folder: Path, number: int) -> None:
    """Give a number to all below a folder and, last, to itself; what is made there has it from then on.

    Follows no links. Raises OSError.
    """
    for _, _, files, here in os.fwalk(folder, topdown=False, onerror=_raise):
        for name in files:
            # A link, or gone meanwhile.
            with suppress(OSError):
                _mark_file(name, here, number)
        _write(here, number, _INHERITED)


def _mark_file(name: str, here: int, number: int) -> None:
    if not stat.S_ISREG(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
        return
    descriptor = os.open(name, _FILE, dir_fd=here)
    try:
        _write(descriptor, number, 0)
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> tuple[int, ...]:
    return _ATTRIBUTES.unpack(fcntl.ioctl(descriptor, _GET_ATTRIBUTES, bytes(_ATTRIBUTES.size)))


def _write(descriptor: int, number: int, flags: int) -> None:
    before, size, count, old, cow = _read(descriptor)
    if (old, before | flags) != (number, before):
        fcntl.ioctl(descriptor, _SET_ATTRIBUTES, _ATTRIBUTES.pack(before | flags, size, count, number, cow))


def _call(folder: Path, command: int, number: int, buffer: "ctypes.Array[ctypes.c_char]") -> None:
    descriptor = os.open(folder, _FOLDER)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(_QUOTACTL_FD, descriptor, ctypes.c_uint(command), ctypes.c_uint(number), buffer) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error
