"""An account for a launch: a process of root's becomes its workspace's number, for good (decision 012).

Whoever becomes one has done before what needs root: bound the sockets that the platform goes to, entered its control
group. What it may write from then on is its own folder (`LaunchFiles.own`), never a place where root looks for names.
"""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from studiolo.runtime import processes

_DUMPABLE = 4
_NO_NEW_PRIVILEGES = 38
_UMASK = 0o077
# Root's own, which nobody else may enter.
_OF_ROOT = "XDG_RUNTIME_DIR"


def take(account: int) -> None:
    """Become user and group `account`, with no right more than they have, and for all threads; 0: stay as it is.

    Programs that it runs give it no rights either. It still ends with its parent. Raises OSError.
    """
    if account in (0, os.geteuid()):
        return
    parent = os.getppid()
    gain_nothing()
    os.setgroups([])
    os.setresgid(account, account, account)
    os.setresuid(account, account, account)
    keep_to_oneself()
    # Linux takes both from whoever changes accounts: its own entries in /proc, and the signal for its parent's end.
    _set(_DUMPABLE, 1)
    processes.end_with_parent(parent)


def gain_nothing() -> None:
    """Have programs that this thread runs give it no right that it has not; so with threads that it begins from now on.

    Unlike user and groups, which change for all threads at once: to be called before there are others. Raises OSError.
    """
    _set(_NO_NEW_PRIVILEGES, 1)


def keep_to_oneself() -> None:
    """Make all files from now on readable by this process's account alone: others pass the folders they are in."""
    os.umask(_UMASK)


def make_own(folder: Path, account: int) -> None:
    """Make `folder` the account's alone, in one that it can only pass through. Repeatable. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.parent.chmod(0o711)
    os.chown(folder, account, account, follow_symlinks=False)


def at_home(variables: Mapping[str, str], account: int) -> dict[str, str]:
    """Return the variables with a home of the account's: the folder that has the person's settings of Jupyter."""
    if not account:
        return dict(variables)
    kept = {name: value for name, value in variables.items() if name != _OF_ROOT}
    home, name = str(Path(variables["JUPYTER_CONFIG_DIR"]).parent), f"w{account}"
    return kept | {"HOME": home, "USER": name, "LOGNAME": name}


def _set(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(error := ctypes.get_errno(), os.strerror(error))
