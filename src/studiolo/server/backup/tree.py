"""What of the data directory a backup holds, met in the order of its index. Nothing is opened through a link."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Sessions, kernels and logs are of this run; environments are made anew.
_TOPS = ("discarded", "front-door/storage", "people", "secrets", "studiolo.toml", "workspaces")
# Nobody works so deep; a member could otherwise break everybody's backup.
_DEEPEST = 200


@dataclass(frozen=True, slots=True)
class Met:
    """Something found: `name` in the open folder `handle`; `path` from the data directory."""

    handle: int
    name: str
    path: str
    stat: os.stat_result


def walk(data_dir: Path, fail: Callable[[str, OSError | str], None]) -> Iterator[Met]:
    """Yield all that is to be kept, each folder before what is in it. `fail` is told what cannot be looked at."""
    for top in _TOPS:
        parent, _, name = top.rpartition("/")
        try:
            handle = os.open(data_dir / parent, _FOLDER)
        except FileNotFoundError:
            continue
        try:
            yield from _one(handle, name, top, fail, 0)
        finally:
            os.close(handle)


def _one(handle: int, name: str, path: str, fail: Callable[[str, OSError | str], None], depth: int) -> Iterator[Met]:
    try:
        seen = os.stat(name, dir_fd=handle, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as exc:
        fail(path, exc)
        return
    if is_passing(path):
        return
    yield Met(handle, name, path, seen)
    if stat.S_ISDIR(seen.st_mode):
        if depth >= _DEEPEST:
            fail(path, f"folders lie more than {_DEEPEST} deep in each other")
            return
        yield from _inside(handle, name, path, fail, depth)


def _inside(handle: int, name: str, path: str, fail: Callable[[str, OSError | str], None], depth: int) -> Iterator[Met]:
    try:
        inner = os.open(name, _FOLDER, dir_fd=handle)
    except FileNotFoundError:
        return
    except OSError as exc:
        fail(path, exc)
        return
    try:
        for entry in sorted(os.listdir(inner)):  # noqa: PTH208
            yield from _one(inner, entry, f"{path}/{entry}", fail, depth + 1)
    finally:
        os.close(inner)


def is_passing(path: str) -> bool:
    """Tell whether a path holds only what can be made again: caches, copies and uploads in the making."""
    parts = path.split("/")
    match parts:
        case ["people", _, _, "cache"] | ["workspaces", _, ".studiolo", "parts"]:
            return True
        case ["workspaces", name]:
            return name.startswith(".") and name.endswith(".part")
    return False
