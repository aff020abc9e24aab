"""Mounts folders of this machine into a container that runs: a program of its own, since it moves into the container.

`python -I -S mounting.py PID`, as root; PID is a process of the container, standard input a JSON list of [source,
target, writable], in order. Ends with 0 once all are mounted; else standard error says why. Nothing is left on the
machine: the mounts are made detached, and are the container's alone from then on. The standard library only.
"""

import ctypes
import errno
import json
import os
import sys
from pathlib import Path

# Of linux/mount.h and linux/fcntl.h; these calls have the same numbers on all kinds of processors that we run on.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_RECURSIVE, _AT_EMPTY_PATH = -100, 0x8000, 0x1000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_MS_PRIVATE = 1 << 18
_CLONE_NEWNS = 0x00020000
_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def main() -> int:
    """Mount what standard input names into the container of the process that the argument names."""
    try:
        mounts = [(str(source), str(target), bool(writable)) for source, target, writable in json.load(sys.stdin)]
        namespace = os.open(f"/proc/{int(sys.argv[1])}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        trees = [_open_tree(source, is_writable=writable) for source, _, writable in mounts]
        kinds = [Path(source).is_dir() for source, _, _ in mounts]
        if os.fstat(namespace).st_ino == Path("/proc/self/ns/mnt").stat().st_ino:
            raise ValueError("that process is in no container")
        # From here on `/` is the container's.
        _check(_libc.setns(namespace, _CLONE_NEWNS), "setns")
        for (_, target, _), tree, is_folder in zip(mounts, trees, kinds, strict=True):
            if not os.path.lexists(target):
                _make_place(Path(target), is_folder=is_folder)
            _move_mount(tree, target)
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


def _open_tree(source: str, *, is_writable: bool) -> int:
    """Return a descriptor of a copy of `source` and what is mounted in it, that nobody sees yet."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    tree = _check(_libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags), source)
    _set(tree, "", _MountAttributes(0 if is_writable else _MOUNT_ATTR_RDONLY, 0, _MS_PRIVATE, 0))
    return tree


def _make_place(place: Path, *, is_folder: bool) -> None:
    """Make something to mount at; the root of a container is read-only but for this moment."""
    _set(_AT_FDCWD, "/", _MountAttributes(0, _MOUNT_ATTR_RDONLY, 0, 0))
    try:
        (place if is_folder else place.parent).mkdir(parents=True, exist_ok=True)
        if not is_folder:
            place.touch()
    finally:
        _set(_AT_FDCWD, "/", _MountAttributes(_MOUNT_ATTR_RDONLY, 0, 0, 0))


def _move_mount(tree: int, target: str) -> None:
    place = os.fsencode(target)
    _check(_libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, place, _MOVE_MOUNT_F_EMPTY_PATH), target)


def _set(folder: int, path: str, attributes: _MountAttributes) -> None:
    flags = 0 if path else _AT_EMPTY_PATH | _AT_RECURSIVE
    size = ctypes.sizeof(attributes)
    _check(
        _libc.syscall(_MOUNT_SETATTR, folder, os.fsencode(path), flags, ctypes.byref(attributes), size), "mount_setattr"
    )


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno() or errno.EIO
        raise OSError(number, os.strerror(number), what)
    return result


if __name__ == "__main__":
    sys.exit(main())
