"""Kernel plans as JSON: what the control plane answers, and what a host keeps to start a kernel once more."""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from studiolo.gateway.base import KernelPlan
from studiolo.runtime.launch import write_json

_MOST_BYTES = 16 << 20
_PATHS = ("environment", "folder", "register", "root")
_MEMBERS = tuple(field.name for field in fields(KernelPlan))


class BadPlanError(ValueError):
    """A plan cannot be used; the text says why."""


def plan_as_json(plan: KernelPlan) -> dict[str, Any]:
    """Return the plan's members; paths are strings. Holds secrets: `variables`."""
    # Not `asdict`, which copies each variable.
    members = {name: getattr(plan, name) for name in _MEMBERS}
    for name in _PATHS:
        members[name] = None if members[name] is None else str(members[name])
    return members | {"argv": list(plan.argv)}


def plan_from_json(members: object) -> KernelPlan:
    """Read a plan; members that are left out have their defaults. Raises BadPlanError."""
    if not isinstance(members, Mapping) or not set(members) <= {*_MEMBERS}:
        raise BadPlanError("The plan has other members than this version knows.")
    read = dict(members)
    for name in _PATHS:
        if read.get(name) is not None:
            read[name] = Path(read[name])
            if not read[name].is_absolute():
                raise BadPlanError(f"The plan's {name} is a relative path.")
    try:
        return KernelPlan(**read | {"argv": tuple(str(word) for word in read["argv"])})
    except (KeyError, TypeError) as exc:
        raise BadPlanError(f"The plan lacks a member: {exc}.") from exc


def replace_json(path: Path, content: object) -> None:
    """Replace a file (mode 0600) by this content: after a kill it is the old or the new one, whole.

    It survives processes, not the machine: as kernels do. Raises OSError.
    """
    write_json(path, content, mode=0o600)


def read_json(path: Path) -> Any:
    """Return a file's content, or None if it is not there or no JSON."""
    try:
        return json.loads(read_plain(path))
    except (OSError, ValueError, RecursionError):
        return None


def read_plain(path: Path) -> bytes:
    """Return what is in a file that users may have made: no pipe that would be waited for, nothing endless.

    Raises OSError.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise OSError(f"{path} is no file, or a very long one")
        return file.read(_MOST_BYTES)
