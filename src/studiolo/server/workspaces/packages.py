"""Which packages a workspace's environment holds, read from its dist-info folders without running anything of it."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studiolo.runtime.bases import base_of


def list_packages(environment: Path) -> list[dict[str, Any]]:
    """Return {name, version, base, installed_at} by name; `base`: it came with what the environment was made from.

    Where that is gone: a clone keeps the times of the files it was made from, so what was recorded after the clone
    itself is the people's; what an earlier build added is then taken for the base's. Source: packaging.python.org,
    "Recording installed projects".
    """
    brought = _brought(base) if (base := base_of(environment)) != environment else None
    try:
        made = (environment / "pyvenv.cfg").lstat().st_ctime
    except OSError:
        return []
    found = []
    for site in environment.glob("lib/python3*/site-packages"):
        for entry in os.scandir(site):
            name, dash, version = entry.name.removesuffix(".dist-info").rpartition("-")
            if dash and entry.name.endswith(".dist-info") and entry.is_dir(follow_symlinks=False):
                at = _recorded_at(Path(entry.path))
                found.append(
                    {
                        "name": name.replace("_", "-").lower(),
                        "version": version,
                        "base": entry.name in brought if brought is not None else at is None or at <= made,
                        "installed_at": datetime.fromtimestamp(at, UTC) if at is not None else None,
                    }
                )
    return sorted(found, key=lambda package: package["name"])


def _brought(base: Path) -> frozenset[str]:
    """Return the names, with versions, of what a base holds."""
    return frozenset(found.name for found in base.glob("lib/python3*/site-packages/*.dist-info"))


def _recorded_at(dist_info: Path) -> float | None:
    """When an installer wrote its list of files, its last act."""
    try:
        return (dist_info / "RECORD").lstat().st_mtime
    except OSError:
        return None
