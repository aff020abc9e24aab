"""Which packages a workspace's environment holds, read from its dist-info folders without running anything of it."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def list_packages(environment: Path) -> list[dict[str, Any]]:
    """Return {name, version, base, installed_at} by name; `base`: it came with the default environment.

    A clone keeps the times of the files it was made from, so what was recorded after the clone itself is the people's.
    Source: packaging.python.org, "Recording installed projects".
    """
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
                        "base": at is None or at <= made,
                        "installed_at": datetime.fromtimestamp(at, UTC) if at is not None else None,
                    }
                )
    return sorted(found, key=lambda package: package["name"])


def _recorded_at(dist_info: Path) -> float | None:
    """When an installer wrote its list of files, its last act."""
    try:
        return (dist_info / "RECORD").lstat().st_mtime
    except OSError:
        return None
