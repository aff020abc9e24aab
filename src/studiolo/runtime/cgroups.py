"""Where this machine lets us make control groups, found by trying.

Version 1 has a hierarchy of folders per controller, version 2 one for all; a machine may have both. All of version 1
was tried on a real machine. Of version 2 moving, killing and removing were; its limits and counters only on folders
that look like it. Source: the kernel's admin-guide/cgroup-v1 and admin-guide/cgroup-v2.rst.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# With version 1 `cpu` limits and `cpuacct` counts; in version 2 `cpu` does both.
CONTROLLERS = ("cpu", "cpuacct", "memory", "pids")
_PROC = Path("/proc/self")
_REMOVE_SECONDS = 1.0
_PAUSE_SECONDS = 0.01
_OWN_LIMITS = ("memory.max", "cpu.max")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted tree of control groups. `own`: the folder of this process's group, at or below `mount`."""

    version: int
    controllers: tuple[str, ...]
    mount: Path
    own: Path


def find_places(name: str, proc: Path = _PROC) -> dict[str, Path]:
    """Return for each usable controller a folder called `name` in which groups can be made; {} where none is usable.

    Tries each of them: makes a group, moves a process into it, removes it. Takes some milliseconds.
    """
    places: dict[str, Path] = {}
    for hierarchy in list_hierarchies(proc):
        missing = [controller for controller in hierarchy.controllers if controller not in places]
        places |= _find_in(hierarchy, name, missing) if missing else {}
    return places


def list_hierarchies(proc: Path = _PROC) -> list[Hierarchy]:
    """Return the mounted hierarchies that have one of our controllers, those of version 1 first."""
    try:
        own = _own_paths((proc / "cgroup").read_text())
        mounts = (proc / "mountinfo").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        # mountinfo writes blanks in paths as \040.
        root, mount = (field.replace("\\040", " ") for field in before.split()[3:5])
        if kind == "cgroup2":
            names = _words(Path(mount) / "cgroup.controllers")
            path, version = own.get(""), 2
        elif kind == "cgroup":
            names = set(options.rpartition(" ")[2].split(","))
            path, version = next((own[name] for name in names if name in own), None), 1
        else:
            continue
        controllers = tuple(name for name in CONTROLLERS if name in names)
        if controllers and path is not None:
            # In a container the path may be told as the host sees it.
            inside = os.path.relpath(path, root) if Path(path).is_relative_to(root) else "."
            found.append(Hierarchy(version, controllers, Path(mount), Path(mount) / inside))
    return sorted(found, key=lambda hierarchy: hierarchy.version)


def list_ancestors(hierarchy: Hierarchy) -> Iterator[Path]:
    """Yield the groups below which ours may lie: our own, then those around it.

    Version 2 takes no groups beside processes, so that ours mostly lie beside our own. A group that has limits
    itself is a fence: what is started from inside it does not get out.
    """
    yield hierarchy.own
    folder = hierarchy.own
    while hierarchy.version == 2 and folder != hierarchy.mount and not _is_limited(folder):
        folder = folder.parent
        yield folder


def make(group: Path) -> None:
    """Make the group and the place around it; with version 2 controllers are handed down to it. Raises OSError."""
    for last in (False, False, True):
        _hand_down(group.parent.parent)
        group.parent.mkdir(exist_ok=True)
        _hand_down(group.parent)
        try:
            group.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:
            # Another launch ended just now and removed the place that it left empty.
            if last:
                raise
        else:
            return


def is_version_2(folder: Path) -> bool:
    """Tell whether `folder` is a group of version 2."""
    return (folder / "cgroup.controllers").exists()


def remove(group: Path) -> bool:
    """Remove the group with those in it, and its place when that is empty; False when processes are left in them."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while True:
        try:
            for inner, _, _ in os.walk(group, topdown=False):
                Path(inner).rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            # The last process may have ended and not be out of the group yet.
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        else:
            with contextlib.suppress(OSError):
                group.parent.rmdir()
            return True


def own_memory_limit(proc: Path = _PROC) -> int | None:
    """Return the smallest memory limit of the groups that this process is in; None without one."""
    limits = []
    for hierarchy in (found for found in list_hierarchies(proc) if "memory" in found.controllers):
        folder = hierarchy.own
        while folder.is_relative_to(hierarchy.mount):
            limits += [
                int(text)
                for name in ("memory.max", "memory.limit_in_bytes")
                if (text := _read(folder / name).strip()).isdigit()
            ]
            folder = folder.parent
    return min(limits, default=None)


def own_cpu_limit(proc: Path = _PROC) -> float | None:
    """Return the smallest number of processors that the groups of this process may use; None without a limit."""
    limits = []
    for hierarchy in (found for found in list_hierarchies(proc) if "cpu" in found.controllers):
        folder = hierarchy.own
        while folder.is_relative_to(hierarchy.mount):
            quota = _read(folder / "cpu.max") or (
                f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}"
            )
            if len(parts := quota.split()) == 2 and parts[0].isdigit():
                limits.append(int(parts[0]) / int(parts[1]))
            folder = folder.parent
    return min(limits, default=None)


def _find_in(hierarchy: Hierarchy, name: str, missing: list[str]) -> dict[str, Path]:
    """Return the nearest place that has the most of the `missing` controllers."""
    best: dict[str, Path] = {}
    for ancestor in list_ancestors(hierarchy):
        usable = _try(ancestor / name, hierarchy.version, missing)
        if len(usable) > len(best):
            best = dict.fromkeys(usable, ancestor / name)
        if len(best) == len(missing):
            break
    return best


def _try(place: Path, version: int, controllers: list[str]) -> list[str]:
    """Return which of `controllers` a process can be held by in a group made in `place`."""
    probe = place / f"try-{os.getpid()}"
    try:
        make(probe)
        usable = [name for name in controllers if version == 1 or name in _words(probe / "cgroup.controllers")]
        return usable if usable and _can_hold(probe) else []
    except OSError:
        return []
    finally:
        remove(probe)


def _can_hold(probe: Path) -> bool:
    """Move a child into `probe`, as a session's process will be."""
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        (probe / "cgroup.procs").write_text(str(child.pid))
        return str(child.pid) in _words(probe / "cgroup.procs")
    except OSError:
        return False
    finally:
        child.communicate()


def _hand_down(folder: Path) -> None:
    # One by one: those that are not to be had must not keep back the others.
    for controller in _words(folder / "cgroup.controllers") & set(CONTROLLERS):
        if controller not in _words(folder / "cgroup.subtree_control"):
            with contextlib.suppress(OSError):
                (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def _own_paths(text: str) -> Mapping[str, str]:
    """Return controller → path of our group; version 2's has the name "". Lines are `number:controllers:path`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _is_limited(group: Path) -> bool:
    return any(_read(group / name).split()[:1] not in ([], ["max"]) for name in _OWN_LIMITS)


def _words(file: Path) -> set[str]:
    return set(_read(file).split())


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
