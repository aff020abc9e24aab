"""A clone brought up to what another environment holds: only what differs is touched, which is far less to write."""

import os
import shutil
import stat
from pathlib import Path

from studiolo.packages.installed.handles import opened, opened_below
from studiolo.server.environments.clone import Carry, carrier
from studiolo.server.environments.stage import READY

_KEPT = {READY}


def mirror(source: Path, target: Path) -> None:
    """Make `target`, a private clone of a similar environment, hold what `source` holds; blocking.

    Files count as the same by inode, or by size, time and mode: what tools edit in place gets another time. The
    caller knows who made `target`: never a folder that somebody else could write. Raises OSError.
    """
    carry, waiting = carrier(source, target), [""]
    while waiting:
        waiting += _mirror_folder(source, target, waiting.pop(), carry)


def _mirror_folder(source: Path, target: Path, inner: str, carry: Carry) -> list[str]:
    """Mirror the files and links of one folder, make its folders and return their paths below the top."""
    folders = []
    names = tuple(filter(None, inner.split("/")))
    # Its users can put links where folders were, at any moment.
    with (
        opened(source) as top,
        opened_below(top, names) as here,
        opened(target) as new,
        opened_below(new, names) as there,
    ):
        is_one_device = os.fstat(here).st_dev == os.fstat(there).st_dev
        with os.scandir(here) as entries, os.scandir(there) as others:
            known = {other.name: other for other in others if inner or other.name not in _KEPT}
            for entry in entries:
                if not inner and entry.name in _KEPT:
                    continue
                other = known.pop(entry.name, None)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{inner}/{entry.name}")
                    if other is not None and other.is_dir(follow_symlinks=False):
                        continue
                # Listing a folder tells inodes; half of the files are links, which need no closer look.
                if other is not None and is_one_device and entry.inode() == other.inode():
                    continue
                if other is not None and _is_same(entry, other, here, there):
                    continue
                if other is not None:
                    _remove(target, inner, other)
                if entry.is_dir(follow_symlinks=False):
                    os.mkdir(entry.name, dir_fd=there)
                elif entry.is_symlink():
                    os.symlink(os.readlink(entry.name, dir_fd=here), entry.name, dir_fd=there)
                else:
                    carry(entry.name, here, there)
        for other in known.values():
            _remove(target, inner, other)
    return folders


def _is_same(entry: os.DirEntry[str], other: os.DirEntry[str], here: int, there: int) -> bool:
    one, two = entry.stat(follow_symlinks=False), other.stat(follow_symlinks=False)
    if stat.S_IFMT(one.st_mode) != stat.S_IFMT(two.st_mode):
        return False
    if stat.S_ISLNK(one.st_mode):
        return os.readlink(entry.name, dir_fd=here) == os.readlink(other.name, dir_fd=there)
    return (one.st_size, one.st_mtime_ns, one.st_mode) == (two.st_size, two.st_mtime_ns, two.st_mode)


def _remove(target: Path, inner: str, other: os.DirEntry[str]) -> None:
    path = f"{target}/{inner}/{other.name}"
    if other.is_dir(follow_symlinks=False):
        shutil.rmtree(path)
    else:
        os.unlink(path)  # noqa: PTH108
