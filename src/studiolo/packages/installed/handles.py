"""Folders and files of an environment that its users can write: opened piece by piece, no link followed, bounded."""

import ctypes
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe that somebody put there would have its reader wait.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Of linux/openat2.h, and its number, which is the same on all processors that we know.
_NO_SYMLINKS = 0x04
_OPENAT2 = 437


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class TooLarge(OSError):
    """A file is larger than what is read of it."""


@contextmanager
def opened(path: str | Path, inside: int | None = None) -> Iterator[int]:
    """Open a folder, for the descriptor's reading; its last name is no link. `inside`: the folder `path` lies in."""
    descriptor = os.open(path, _FOLDER, dir_fd=inside)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def opened_below(top: int, names: tuple[str, ...]) -> Iterator[int]:
    """Open a folder some names below another one; none of them is a link."""
    here = _open_at_once(top, names)
    if here >= 0:
        try:
            yield here
        finally:
            os.close(here)
        return
    here = os.dup(top)
    try:
        for name in names:
            inner = os.open(name, _FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        yield here
    finally:
        os.close(here)


def list_folder(folder: int | Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds, by name. `folder`: its descriptor, or a path whose links do no harm."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


@contextmanager
def opened_file(name: str, folder: int) -> Iterator[int]:
    """Open a plain file for reading. Raises OSError for links and everything else."""
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{name!r} is no plain file")
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(name: str, folder: int, most: int) -> bytes:
    """Read a plain file of at most `most` bytes. Raises TooLarge, and OSError as `opened_file`."""
    with opened_file(name, folder) as descriptor:
        content = _read(descriptor, most + 1)
    if len(content) > most:
        raise TooLarge(f"{name!r} has more than {most} bytes")
    return content


def read_start(name: str, folder: int, most: int) -> bytes:
    """Read at most the first `most` bytes of a plain file. Raises OSError."""
    with opened_file(name, folder) as descriptor:
        return _read(descriptor, most)


def _read(descriptor: int, most: int) -> bytes:
    pieces, left = [], most
    while left > 0 and (piece := os.read(descriptor, min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _open_at_once(top: int, names: tuple[str, ...]) -> int:
    """Open a folder below another one by a single call; below 0: one by one, where the system has no such call or
    something is in the way. Where environments are copied, most calls would open folders on the way.
    """
    if not names or sys.platform != "linux":
        return -1
    return int(_library().syscall(_OPENAT2, top, os.fsencode("/".join(names)), _HOW, ctypes.sizeof(_How)))


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_How), ctypes.c_size_t)
    library.syscall.restype = ctypes.c_long
    return library


_HOW = ctypes.byref(_How(_FOLDER, 0, _NO_SYMLINKS))
