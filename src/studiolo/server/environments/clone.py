"""A workspace's own copy of an environment: complete, private, and made in about a second.

Where the file system can share blocks (reflink), all files are cloned by it. Elsewhere a file that tools only
ever replace by another (compiled code, type stubs) is a hard link, read-only, and every
other file is a copy, so that nothing that people or tools edit in place is shared.
"""

import errno
import fcntl
import os
import stat
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from studiolo.packages.installed.handles import opened, opened_below, opened_file
from studiolo.runtime.bases import base_of, is_base
from studiolo.runtime.kernelcommands import BASE_FILE
from studiolo.server.environments.stage import READY, claim, discard, is_ready

# FICLONE of linux/fs.h: _IOW(0x94, 9, int).
_FICLONE = 0x40049409
_LINKED_SUFFIXES = (".so", ".pyc", ".pyi")
_THREADS = 2
# Who installs a package often installs another one right after it.
SPARES = 2
# What a file system answers that cannot share blocks, or not between these two files.
_CANNOT_SHARE = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM}
# What it answers when a link is impossible: another device, no links here, or too many of them.
_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}

# Makes the file `name` of one open folder in another.
Carry = Callable[[str, int, int], None]


def interpreter_of(environment: Path) -> Path:
    """Return an interpreter of ours for what is done to an environment: its base's, else the one that runs this.

    Never its own: its users can write that, and whatever it loads at its start.
    """
    base = base_of(environment)
    return base / "bin" / "python" if is_base(base) else Path(sys.executable)


def clone(base: Path, target: Path) -> None:
    """Clone the environment `base`, or another clone, to `target`; blocking. Nothing is done when `target` is whole.

    Times are kept, so that compiled bytecode stays valid. Raises OSError (no space, no permission); nothing
    that looks whole is left then, nor after a kill.
    """
    stage = claim(target, wait=True)
    if stage is None:
        return
    with stage:
        _clone_tree(base, stage.path, carrier(base, stage.path))
        _name_base(stage.path, base)
        stage.publish()


def carrier(source: Path, target: Path) -> Carry:
    """Return how files get from one environment into another: by shared blocks, else by links and copies."""
    return _share if _can_share(source, target) else _link_or_copy


def spares_of(base: Path) -> tuple[Path, ...]:
    """Return where clones of a base lie that were made ahead of need."""
    return tuple(base.with_name(f"spare-{number}-{base.name}") for number in range(1, SPARES + 1))


def list_stray_spares(base: Path) -> list[Path]:
    """List the spares beside a base that are another one's: of an earlier version of the default environment."""
    return [folder for folder in base.parent.glob("spare-*") if folder not in spares_of(base)]


def next_of(environment: Path) -> Path:
    """Return where the environment is made that is to take the place of a live one."""
    return environment.with_name(f"{environment.name}.next")


def take(spare: Path, target: Path) -> bool:
    """Move a clone that was made ahead of need to `target`; False when there is none, or something stands there.

    A clone holds no path of its own place, so that moving it before its first use changes nothing.
    """
    if is_ready(target):
        return True
    try:
        spare.rename(target)
    except OSError:
        return False
    return True


def spoil(target: Path) -> None:
    """Have an environment count as unfinished, so that the next `clone` replaces it."""
    (target / READY).unlink(missing_ok=True)


def remove(target: Path) -> None:
    """Remove a clone and whatever killed builders left of it; success if nothing is there. Follows no link."""
    discard(target)
    discard(next_of(target))


def _name_base(made: Path, base: Path) -> None:
    """Write in a clone what it is made from, unless it says so already: a clone of a clone has the same base.

    Where users of the environment put a link, nothing is written through it.
    """
    try:
        descriptor = os.open(made / BASE_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(str(base))


def _clone_tree(source: Path, target: Path, carry: Carry) -> None:
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


def _clone_folder(source: Path, target: Path, inner: str, carry: Carry) -> list[str]:
    """Clone the files and links of one folder, make its folders and return their paths below the top."""
    folders = []
    names = tuple(filter(None, inner.split("/")))
    # Its users can put links where folders were, at any moment.
    with (
        opened(source) as top,
        opened_below(top, names) as here,
        opened(target) as new,
        opened_below(new, names) as there,
        os.scandir(here) as entries,
    ):
        for entry in entries:
            if inner == "" and entry.name == READY:
                continue
            if entry.is_dir(follow_symlinks=False):
                os.mkdir(entry.name, dir_fd=there)
                folders.append(f"{inner}/{entry.name}")
            elif entry.is_symlink():
                os.symlink(os.readlink(entry.name, dir_fd=here), entry.name, dir_fd=there)
            else:
                carry(entry.name, here, there)
    return folders


def _share(name: str, here: int, there: int) -> None:
    _copy(name, here, there, _reflink)


def _link_or_copy(name: str, here: int, there: int) -> None:
    if _is_linked(name):
        try:
            os.link(name, name, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
        except OSError as exc:
            if exc.errno not in _CANNOT_LINK:
                raise
        else:
            return
    _copy(name, here, there, _copy_content)


def _is_linked(name: str) -> bool:
    """Tell whether a file may share its inode: tools replace such files and do not edit them in place."""
    return name.endswith(_LINKED_SUFFIXES) or ".so." in name


def _copy(name: str, here: int, there: int, fill: Callable[[int, int, int], None]) -> None:
    """Make a writable file of its own with the content, the times and the mode of the original."""
    with opened_file(name, here) as source:
        seen = os.fstat(source)
        copy = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR, dir_fd=there)
        try:
            # Exactly this mode, whatever our umask is.
            os.fchmod(copy, stat.S_IMODE(seen.st_mode) | stat.S_IWUSR)
            fill(source, copy, seen.st_size)
            os.utime(copy, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        finally:
            os.close(copy)


def _reflink(source: int, copy: int, size: int) -> None:
    fcntl.ioctl(copy, _FICLONE, source)


def _copy_content(source: int, copy: int, size: int) -> None:
    left = size
    while left > 0:
        sent = os.sendfile(copy, source, None, left)
        if sent == 0:
            raise OSError(errno.EIO, "a file of the base environment became shorter while it was copied")
        left -= sent


def _can_share(base: Path, stage: Path) -> bool:
    probe = stage / ".probe"
    # A conda prefix has no such file, but one of its history.
    sample = next(path for path in (base / "pyvenv.cfg", base / "conda-meta/history") if path.exists())
    with sample.open("rb") as source, probe.open("wb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, source.fileno())
        except OSError as exc:
            if exc.errno not in _CANNOT_SHARE:
                raise
            return False
        finally:
            probe.unlink()
    return True
