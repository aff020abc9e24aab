"""Landlock: a process gives up rights to files for itself and all that it will start. Needs no privilege.

As a program, `python -I -S landlock.py FOLDER... -- COMMAND...`, it runs a command that writes in no other folder.
Source: docs.kernel.org, "Landlock: unprivileged access control"; linux/landlock.h.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Sequence

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION, _BENEATH = 1, 1
_NO_NEW_PRIVILEGES = 38
_WRITE_FILE, _REFER, _TRUNCATE = 1 << 1, 1 << 13, 1 << 14
# Removing and making, of each kind of file.
_NAMES = sum(1 << bit for bit in range(4, 13))
_OF_FILES = _WRITE_FILE | _TRUNCATE
# To other processes that are not held likewise: abstract sockets, signals.
_SCOPES = 3
_SCOPES_SINCE = 6
# Programs open it for writing without asking whether they may.
_NOWHERE = "/dev/null"


def find_version() -> int:
    """Return the version of Landlock that this kernel has; 0: none, or it is off."""
    if sys.platform != "linux":
        return 0
    try:
        return _call(_CREATE, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def keep_writes_in(folders: Iterable[str | os.PathLike[str]]) -> bool:
    """Let this process and its descendants write below `folders` alone, links followed as anybody else's would be.

    They also gain no rights by programs they run, and where the kernel can (version 6) signal nobody outside. Reading
    and what is open already are as before. False where there is no Landlock. Raises OSError.
    """
    version = find_version()
    if version == 0:
        return False
    rights = _WRITE_FILE | _NAMES | (_REFER if version > 1 else 0) | (_TRUNCATE if version > 2 else 0)
    words = (rights, 0, _SCOPES) if version >= _SCOPES_SINCE else (rights,)
    attributes = struct.pack(f"={len(words)}Q", *words)
    rules = _call(_CREATE, attributes, len(attributes), 0)
    try:
        for path in (*folders, _NOWHERE):
            _allow(rules, path, rights)
        if ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no-new-privileges was refused")
        _call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)
    return True


def command(folders: Sequence[str | os.PathLike[str]], words: Sequence[str]) -> list[str]:
    """Return the command that runs `words` with its writes kept in `folders`; `words`, elsewhere than on Linux."""
    if sys.platform != "linux":
        return list(words)
    return [sys.executable, "-I", "-S", __file__, *(os.fspath(folder) for folder in folders), "--", *words]


def _allow(rules: int, path: str | os.PathLike[str], rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        is_folder = os.path.isdir(path)  # noqa: PTH112 pathlib takes longer to import than all of this
        _call(_ADD, rules, _BENEATH, struct.pack("=Qi", rights if is_folder else rights & _OF_FILES, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: bytes | int | None) -> int:
    """Make a system call; numbers are passed as wide as registers are. Raises OSError."""
    wide = [ctypes.c_size_t(one) if isinstance(one, int) else one for one in arguments]
    result = int(ctypes.CDLL(None, use_errno=True).syscall(number, *wide))
    if result < 0:
        raise OSError(error := ctypes.get_errno(), os.strerror(error))
    return result


def main() -> None:
    """Run what the arguments say."""
    end = sys.argv.index("--")
    keep_writes_in(sys.argv[1:end])
    os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])  # noqa: S606


if __name__ == "__main__":
    main()
