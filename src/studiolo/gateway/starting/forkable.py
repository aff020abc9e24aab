"""Whether a kernel may be forked from what is imported, or must be exec'd because it could tell the difference."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studiolo.gateway.base import KernelPlan
from studiolo.runtime.bases import base_of
from studiolo.runtime.launch import read_plain

# Variables of Python's own that are looked at when code runs, or that a fork follows; images often set the last two.
_HARMLESS = {
    *("PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONSTARTUP", "PYTHONBREAKPOINT", "PYTHONPYCACHEPREFIX"),
    *("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"),
}
# What the loader of programs reads before Python does.
_OF_THE_LOADER = ("LD_", "MALLOC_", "GLIBC_TUNABLES")
_CUSTOM = ("sitecustomize.py", "usercustomize.py")


@dataclass(frozen=True, slots=True)
class Imported:
    """What a kernel server has imported. `site`: its site-packages; `distributions`: `X-1.2.dist-info`."""

    site: Path
    distributions: frozenset[str]


def find_base(environment: Path) -> Path:
    """Return the environment whose kernel server may serve this one: what it is a clone of, or itself."""
    base = base_of(environment)
    return base if (base / "bin/python").exists() else environment


def is_plain(plan: KernelPlan, machine: Mapping[str, str]) -> bool:
    """Tell whether a plan asks for an ipykernel as it comes; `machine`: the variables of kernel servers."""
    if plan.environment is None or sys.platform != "linux":
        return False
    words = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
    if plan.argv[1:5] != words or not Path(plan.argv[0]).is_relative_to(plan.environment):
        return False
    for name in {*plan.variables, *machine}:
        if name.startswith("PYTHON") and name not in _HARMLESS:
            return False
        if name.startswith(_OF_THE_LOADER) and plan.variables.get(name) != machine.get(name):
            return False
    return True


def is_alike(environment: Path, base: Path, imported: Imported) -> bool:
    """Tell whether a fresh start in `environment` would import the same; reads some folders."""
    site = environment / imported.site.relative_to(base)
    try:
        settings = read_plain(environment / "pyvenv.cfg")
        names = {entry.name for entry in site.iterdir()}
        of_base = {entry.name for entry in imported.site.glob("*.pth")}
        same_settings = settings == (base / "pyvenv.cfg").read_bytes()
    except OSError:
        return False
    wanted = {_project(name) for name in imported.distributions}
    found = {name for name in names if name.endswith(".dist-info") and _project(name) in wanted}
    is_closed = b"include-system-site-packages = false" in settings.lower()
    return (
        same_settings and is_closed and found == imported.distributions and of_base <= names and not names & {*_CUSTOM}
    )


def _project(folder: str) -> str:
    return folder.partition("-")[0].lower().replace(".", "_")
