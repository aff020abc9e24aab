"""Bases of environments: what a workspace's own is a clone of, and what of it the platform may believe."""

import os
import stat
from pathlib import Path

from studiolo.runtime.kernelcommands import BASE_FILE

# What the names of the platform's own environments begin with, and no workspace's does.
BASE_NAME = "base-"
_LONGEST_PATH = 4096


def base_of(environment: Path) -> Path:
    """Return the base that an environment was made from; the environment itself where that is gone or untold.

    Only one that lies beside it: its users can write the file, and what a base brought needs no other proof.
    """
    try:
        told = _read(environment / BASE_FILE)
    except (OSError, ValueError):
        return environment
    base = environment.parent / Path(told.strip()).name
    return base if is_base(base) and base.is_dir() and not base.is_symlink() else environment


def bases_of(environment: Path) -> list[Path]:
    """Return the base of an environment; where its users made it untold, all that lie beside it, and itself if none."""
    base = base_of(environment)
    if base != environment or is_base(base):
        return [base]
    return sorted(path for path in environment.parent.glob(f"{BASE_NAME}*") if path.is_dir()) or [environment]


def is_base(environment: Path) -> bool:
    """Tell by its name whether an environment is one that only the platform writes."""
    return environment.name.startswith(BASE_NAME)


def _read(file: Path) -> str:
    """Return what is in a file that users may have made: no link, and no pipe that would be waited for."""
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(f"{file} is no plain file")
        return os.fsdecode(opened.read(_LONGEST_PATH))
