"""Two folders exchanged in one step, so that at each moment there is one in its place."""

import ctypes
import errno
import os
import sys
from pathlib import Path

# Of linux/fs.h and fcntl.h; source: renameat2(2).
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ENOTTY}


def exchange(fresh: Path, live: Path) -> None:
    """Put `fresh` where `live` is; what was there lies at `fresh` afterwards. `live` may be missing.

    Where the system cannot exchange, two renames do it, with a moment without a folder. Raises OSError.
    """
    if not live.exists():
        fresh.rename(live)
        return
    if not _renameat2(fresh, live):
        aside = live.with_name(f".{live.name}.aside")
        live.rename(aside)
        fresh.rename(live)
        aside.rename(fresh)


def _renameat2(one: Path, other: Path) -> bool:
    if sys.platform != "linux":
        return False
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    if function(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(one))
