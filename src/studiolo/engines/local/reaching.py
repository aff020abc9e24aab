"""Whether accounts of workspaces can use what root has installed for them: interpreters, and our own code."""

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import uv

import studiolo
from studiolo.contract.errors import InvalidInput
from studiolo.runtime.acting import acting_as
from studiolo.runtime.bases import BASE_NAME

_EXECUTABLE = 0o001


def check_reachable(data_dir: Path, account: int) -> None:
    """Raise InvalidInput (`settings-invalid`) naming what sessions under an account could not read or run. Blocking."""
    bases = (data_dir / "environments").glob(f"{BASE_NAME}*/bin/python")
    programs = [Path(sys.executable), Path(uv.find_uv_bin()), *bases]
    folders = [Path(sys.prefix), *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))]
    needed = [*programs, *folders, *(Path(folder) for folder in studiolo.__path__)]
    if (closed := find_closed((path.resolve() for path in needed), account)) is not None:
        raise InvalidInput(
            "settings-invalid",
            f"local.accounts is on, and accounts of workspaces cannot use {closed}, which their sessions need.",
            hint="Install Studiolo, and the Pythons it uses, where everybody may run them: below /opt, say, and not in "
            "root's home. Or set local.accounts to off (STUDIOLO_LOCAL__ACCOUNTS=off).",
        )


def find_closed(needed: Iterable[Path], account: int) -> Path | None:
    """Return the first of the paths, or of the folders on the way to one, that an account may not pass, or run."""
    with acting_as((account, account)):
        for path in needed:
            for folder in reversed(path.parents):
                if not _is_open(folder):
                    return folder
            if not _is_open(path):
                return path
    return None


def _is_open(path: Path) -> bool:
    try:
        if path.is_dir():
            # Path would leave the dot out, and with it the question.
            os.stat(f"{path}/.")  # noqa: PTH116
        else:
            path.open("rb").close()
            return bool(path.stat().st_mode & _EXECUTABLE)
    except PermissionError:
        return False
    except FileNotFoundError:
        # Nothing uses it.
        return True
    return True
