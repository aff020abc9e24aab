"""Whose a container's files are: its account's, which is never root's."""

import os
import stat
from pathlib import Path

# No account of the machine's, nor one that its programs hand out: nobody else is met under it.
_STAND_IN = (60100, 60100)


def choose_owner(wanted: str | None) -> tuple[int, int]:
    """Return (uid, gid) of containers: as the settings say, else the platform's own, else a stand-in for root."""
    if wanted is not None:
        uid, gid = wanted.split(":")
        return int(uid), int(gid)
    return (os.geteuid(), os.getegid()) if os.geteuid() else _STAND_IN


def give(folder: Path, owner: tuple[int, int]) -> None:
    """Have `folder` and all in it belong to `owner`; done by root only, who can use it as before. Raises OSError.

    Blocking. Follows no link, and leaves files alone that have more than one name: the others may be somebody else's
    (environments share compiled files so; these are replaced, never changed).
    """
    if os.geteuid() != 0:
        return
    # `topdown`, with handles: what is renamed meanwhile leads nowhere else.
    for _, _, names, handle in os.fwalk(folder, follow_symlinks=False):
        _give_one(None, handle, owner)
        for name in names:
            _give_one(name, handle, owner)


def _give_one(name: str | None, handle: int, owner: tuple[int, int]) -> None:
    try:
        found = os.stat(name, dir_fd=handle, follow_symlinks=False) if name else os.fstat(handle)
        if (found.st_uid, found.st_gid) == owner or (not stat.S_ISDIR(found.st_mode) and found.st_nlink > 1):
            return
        if name:
            os.chown(name, *owner, dir_fd=handle, follow_symlinks=False)
        else:
            os.fchown(handle, *owner)
    except FileNotFoundError:
        # Gone since it was listed.
        return
