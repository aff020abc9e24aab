"""Doing file work with the rights of whoever owns the files, where the platform is root.

A thread whose file-system user is not root has none of root's capabilities over files: what it makes belongs to that
user, and a link that somebody planted leads it nowhere that this user could not go.
Source: setfsuid(2), credentials(7), capabilities(7) ("Effect of user ID changes on capabilities").
"""

import errno
import os
import platform
import stat
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

Owner = tuple[int, int]
# Numbers from here on are workspaces' own (decision 012); whoever else owns a folder, we work in it as ourselves.
LOWEST = 2_001_000_000
HIGHEST = 2_147_352_575
# Numbers of setfsuid, setfsgid and setgroups: those of the C library change the groups of all threads at once.
_CALLS = {"x86_64": (122, 123, 116), "aarch64": (151, 152, 159)}
_NOBODY = 0xFFFFFFFF
# Of linux/prctl.h: PR_SET_PDEATHSIG, PR_GET_PDEATHSIG.
_SET_SIGNAL, _GET_SIGNAL = 1, 2
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _Acting(threading.local):
    """For whom a thread acts, None: for itself; and what it had then: groups, parent and the signal for its end."""

    owner: Owner | None = None
    groups: tuple[int, ...] = ()
    parent: int = 0
    signal: int = 0


_acting = _Acting()


def is_possible() -> bool:
    """Tell whether this process can act as others: root on a Linux whose system calls are known here."""
    return sys.platform == "linux" and os.geteuid() == 0 and platform.machine() in _CALLS


def owner_of(folder: Path | int) -> Owner | None:
    """Return user and group of a workspace's folder, by path or open; None: work in it is done with our own rights.

    That is so unless this process is root and the folder is there and belongs to a workspace's own number.
    Raises OSError.
    """
    if not is_possible():
        return None
    try:
        seen = folder.stat() if isinstance(folder, Path) else os.fstat(folder)
    except FileNotFoundError:
        return None
    return (seen.st_uid, seen.st_gid) if LOWEST <= seen.st_uid <= HIGHEST else None


@contextmanager
def acting_as(owner: Owner | None) -> Iterator[None]:
    """Have the current thread do its file work as `owner`; None: as it did before.

    No `await` belongs inside, nor a start of a thread (it would go on as `owner`) or of a program (it would not).
    Raises PermissionError: this process may not; nothing has changed then.
    """
    if owner is None or owner == _acting.owner:
        yield
        return
    before = _acting.owner
    _become(owner)
    try:
        yield
    finally:
        _become(before)


@contextmanager
def opened_by_owner(folder: Path) -> Iterator[int]:
    """Open a folder with the process's own rights, and act as its owner from there on. Raises OSError.

    What it is opened by is the platform's word, and the folders above need not be passable for its owner.
    """
    handle = open_as_oneself(folder)
    try:
        with acting_as(owner_of(handle)):
            yield handle
    finally:
        os.close(handle)


def open_as_oneself(folder: Path) -> int:
    """Open a folder with the process's own rights, whoever this thread acts for. Raises OSError."""
    before = _acting.owner
    if before is None:
        return os.open(folder, _FOLDER)
    _become(None)
    try:
        return os.open(folder, _FOLDER)
    finally:
        _become(before)


def hand_over(folder: Path, owner: Owner) -> None:
    """Give a folder and all below it to `owner`, the folder itself last: after a kill it is done again.

    No link is followed. A file that has names elsewhere, too, stays whose it is. Blocking. Raises OSError.
    """
    met: Counter[tuple[int, int]] = Counter()
    # By handles: what is renamed meanwhile leads nowhere else.
    for _, folders, files, handle in os.fwalk(folder, topdown=False, follow_symlinks=False):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                seen = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if _is_met_whole(seen, met) and (seen.st_uid, seen.st_gid) != owner:
                    os.chown(name, *owner, dir_fd=handle, follow_symlinks=False)
    os.chown(folder, *owner, follow_symlinks=False)


def _is_met_whole(seen: os.stat_result, met: Counter[tuple[int, int]]) -> bool:
    """Tell whether all names of a file were met, counting this one. A folder has one."""
    if stat.S_ISDIR(seen.st_mode) or seen.st_nlink == 1:
        return True
    file = seen.st_dev, seen.st_ino
    met[file] += 1
    return met[file] == seen.st_nlink


def _become(owner: Owner | None) -> None:
    """Change the current thread's file-system user, group and further groups; None: to the process's own."""
    before = _acting.owner
    if before is None:
        _acting.groups, _acting.parent, _acting.signal = tuple(os.getgroups()), os.getppid(), _calls().get_signal()
    try:
        _change(owner)
    except OSError:
        _change(before)
        raise
    finally:
        # Linux takes it from whoever changes accounts.
        if _acting.signal:
            _calls().set_signal(_acting.signal)
            if os.getppid() != _acting.parent:
                os.kill(os.getpid(), _acting.signal)
    _acting.owner = owner


def _change(owner: Owner | None) -> None:
    user, group = owner or (os.geteuid(), os.getegid())
    calls = _calls()
    calls.set_groups(() if owner else _acting.groups)
    for change, wanted in ((calls.set_group, group), (calls.set_user, user)):
        change(wanted)
        # These two never fail: they say what was before.
        if change(_NOBODY) != wanted:
            raise PermissionError(errno.EPERM, f"the platform may not act as user {user}, group {group}")


class _Calls:
    """The system calls, each for the thread that calls."""

    def __init__(self) -> None:
        # Sessions of other accounts come by here, too, and need none of it.
        import ctypes

        self._types = ctypes
        self._library = ctypes.PyDLL(None, use_errno=True)
        self._user, self._group, self._groups = map(ctypes.c_long, _CALLS[platform.machine()])

    def set_user(self, wanted: int) -> int:
        """Set the user for files and return what it was."""
        return int(self._library.syscall(self._user, self._types.c_uint32(wanted)))

    def set_group(self, wanted: int) -> int:
        """Set the group for files and return what it was."""
        return int(self._library.syscall(self._group, self._types.c_uint32(wanted)))

    def set_groups(self, wanted: tuple[int, ...]) -> None:
        """Set the further groups. Raises PermissionError."""
        types = self._types
        if self._library.syscall(self._groups, types.c_long(len(wanted)), (types.c_uint32 * len(wanted))(*wanted)):
            raise PermissionError(types.get_errno(), "the platform may not change its groups")

    def get_signal(self) -> int:
        """Return the signal that comes when the parent ends; 0: none."""
        found = self._types.c_int()
        self._library.prctl(_GET_SIGNAL, self._types.byref(found), 0, 0, 0)
        return found.value

    def set_signal(self, wanted: int) -> None:
        """Set the signal that comes when the parent ends."""
        self._library.prctl(_SET_SIGNAL, wanted, 0, 0, 0)


@cache
def _calls() -> _Calls:
    return _Calls()
