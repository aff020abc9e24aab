"""The file in an environment that tells its kernels which build it is: see `studiolo.runtime.kernelcommands`."""

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import RowMapping

from studiolo.packages.installed.snapshots import Stamp
from studiolo.runtime.acting import opened_by_owner
from studiolo.runtime.kernelcommands import BUILD_FILE


def write_build_file(prefix: Path, builds: Sequence[RowMapping], stamp: Stamp) -> None:
    """Write the last builds of an environment, the oldest first; blocking.

    `stamp`: of its folders as the last one is of them. Its users can write the folder: no link is followed.
    Raises OSError.
    """
    members = {
        "base": builds[-1]["base"],
        "state": [changed_at for _, _, changed_at in stamp],
        "builds": [{"number": row["number"], "hash": row["hash"], "at": _since(row)} for row in builds],
    }
    text = json.dumps(members).encode()
    with opened_by_owner(prefix) as folder:
        fresh = f"{BUILD_FILE}.{secrets.token_hex(8)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
        try:
            # Exactly this mode, whatever our umask is.
            os.fchmod(descriptor, 0o644)
            os.write(descriptor, text)
        finally:
            os.close(descriptor)
        os.replace(fresh, BUILD_FILE, src_dir_fd=folder, dst_dir_fd=folder)


def _since(row: RowMapping) -> float:
    """Return since when it holds, in seconds since 1970: a live one was there before it was recorded."""
    since = row["made_at"] if row["cause"] == "live" else row["ended_at"]
    return float(since.timestamp())
