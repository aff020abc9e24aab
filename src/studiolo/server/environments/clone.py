"""A workspace's own copy of an environment: complete, private, and made in about a second.

Where the file system can share blocks (reflink), all files are cloned by it. Elsewhere a file that tools only
ever replace by another (compiled code, type stubs, packages' own tests) is a hard link, read-only, and every
other file is a copy, so that nothing that people or tools edit in place is shared.
"""

import errno
import fcntl
import os
import stat
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from studiolo.server.environments.stage import READY, claim, discard

# FICLONE of linux/fs.h: _IOW(0x94, 9, int).
_FICLONE = 0x40049409
_LINKED_SUFFIXES = (".so", ".pyc", ".pyi")
_THREADS = 2
# What a file system answers that cannot share blocks, or not between these two files.
_CANNOT_SHARE = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM}
# What it answers when a link is impossible: another device, no links here, or too many of them.
_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}

# Makes the entry `name` of one open folder in another.
_Carry = Callable[[str, int, int], None]


def clone(base: Path, target: Path) -> None:
    """Clone the environment `base` to `target`; blocking. Returns at once when `target` is whole already.

    Times are kept, so that compiled bytecode stays valid. Raises OSError (no space, no permission); nothing
    that looks whole is left then, nor after a kill.
    """
    stage = claim(target, wait=True)
    if stage is None:
        return
    with stage:
        share = _can_share(base, stage.path)
        _clone_tree(base, stage.path, _reflink if share else _link_or_copy)
        stage.publish()


def remove(target: Path) -> None:
    """Remove a clone and whatever killed builders left of it; success if nothing is there. Follows no link."""
    discard(target)


def is_linked(name: str, folder: str) -> bool:
    """Tell whether the file `name` in `folder` may share its inode: nothing edits such a file in place."""
    return name.endswith(_LINKED_SUFFIXES) or ".so." in name or "/tests" in folder


def _clone_tree(source: Path, target: Path, carry: _Carry) -> None:
    waiting: deque[Future[list[str]]] = deque()
    with ThreadPoolExecutor(_THREADS, "clone") as pool:
        waiting.append(pool.submit(_clone_folder, source, target, "", carry))
        try:
            while waiting:
                for inner in waiting.popleft().result():
                    waiting.append(pool.submit(_clone_folder, source, target, inner, carry))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _clone_folder(source: Path, target: Path, inner: str, carry: _Carry) -> list[str]:
    """Clone the files and links of one folder, make its folders and return their paths below the top."""
    folders = []
    here = os.open(f"{source}/{inner}", os.O_RDONLY | os.O_DIRECTORY)
    there = os.open(f"{target}/{inner}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    os.mkdir(entry.name, dir_fd=there)
                    folders.append(f"{inner}/{entry.name}")
                elif entry.is_symlink():
                    os.symlink(os.readlink(entry.name, dir_fd=here), entry.name, dir_fd=there)
                elif not (inner == "" and entry.name == READY):
                    carry(entry.name, here, there) if carry is _reflink or not is_linked(
                        entry.name, inner
                    ) else _link(entry.name, here, there)
    finally:
        os.close(here)
        os.close(there)
    return folders
