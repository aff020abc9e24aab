"""Linux's calls on mounts and namespaces that Python 3.11 lacks, each raising OSError. The standard library only.

Source: open_tree(2), move_mount(2), mount_setattr(2) (Linux 5.12), unshare(2), setns(2), pivot_root(2).
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from typing import Any

NEW_MOUNTS, NEW_IPC, NEW_NETWORK = 0x00020000, 0x08000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC = 1, 2, 4, 8
# Of linux/mount.h and linux/fcntl.h; these calls have the same numbers on all kinds of processors that we run on.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_AT_FDCWD, _AT_RECURSIVE, _AT_EMPTY_PATH = -100, 0x8000, 0x1000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MS_REC, _MS_PRIVATE = 1 << 14, 1 << 18
_MNT_DETACH = 2
# Of linux/sockios.h and linux/if.h.
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def open_tree(source: str, attributes: int) -> int:
    """Return a descriptor of a copy of `source` and what is mounted in it, that nobody sees yet.

    `attributes`: what holds for all of it, besides what holds already.
    """
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    tree = _check(_library().syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags), source)
    wanted = _MountAttributes(attributes, 0, _MS_PRIVATE, 0)
    _set(tree, "", wanted, _AT_EMPTY_PATH | _AT_RECURSIVE, source)
    return tree


def move_tree(tree: int, target: str) -> None:
    """Mount what `open_tree` returned at `target`, and close the descriptor."""
    place = os.fsencode(target)
    _check(_library().syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, place, _MOVE_MOUNT_F_EMPTY_PATH), target)
    os.close(tree)


def make_writable(target: str, *, is_writable: bool) -> None:
    """Have what is mounted at `target` alone be writable from now on, or read-only."""
    attributes = (0, READ_ONLY) if is_writable else (READ_ONLY, 0)
    _set(_AT_FDCWD, target, _MountAttributes(*attributes, 0, 0), 0, target)


def mount(kind: str, target: str, attributes: int, options: str = "") -> None:
    """Mount a file system of Linux's own."""
    words = (kind.encode(), os.fsencode(target), kind.encode(), attributes, options.encode() or None)
    _check(_library().mount(*words), target)


def keep_private() -> None:
    """Have nothing that is mounted from now on seen in other namespaces, nor the other way."""
    _check(_library().mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "/")


def take_root(folder: str) -> None:
    """Have `folder`, where something is mounted, for the root, and nothing of the old one."""
    os.chdir(folder)
    _check(_library().syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
    # The old root lies over the new one.
    _check(_library().umount2(b".", _MNT_DETACH), "umount")
    os.chdir("/")


def unshare(kinds: int) -> None:
    """Take namespaces of one's own. Of mounts: only a process of one thread can."""
    _check(_library().unshare(kinds), "unshare")


def enter(namespace: int, kind: int) -> None:
    """Enter the namespace that a descriptor names. Of mounts: only a process of one thread can; it is at `/` then."""
    _check(_library().setns(namespace, kind), "setns")


def raise_loopback() -> None:
    """Have this network's loopback work."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asked = struct.pack("16sh14x", b"lo", 0)
        name, flags = struct.unpack("16sh14x", fcntl.ioctl(asking, _GET_FLAGS, asked))
        fcntl.ioctl(asking, _SET_FLAGS, struct.pack("16sh14x", name, flags | _UP))


def _set(folder: int, path: str, wanted: _MountAttributes, how: int, what: str) -> None:
    place, size = os.fsencode(path), ctypes.sizeof(wanted)
    _check(_library().syscall(_MOUNT_SETATTR, folder, place, how, ctypes.byref(wanted), size), f"mount_setattr: {what}")


def _library() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno() or errno.EIO
        raise OSError(number, os.strerror(number), what)
    return result
