"""Mounts folders of this machine into a container that runs: a program of its own, since it moves into the container.

Started by `runtime.kernelcommands.program`, as root, with PID, a process of the container; standard input is a JSON
list of [source, target, writable], in order. Ends with 0 once all are mounted; else standard error says why. Nothing
is left on the machine: the mounts are made detached, and are the container's alone from then on.
"""

import json
import os
import sys
from pathlib import Path

from studiolo.runtime import mounts


def main() -> int:
    """Mount what standard input names into the container of the process that the argument names."""
    try:
        wanted = [(str(source), str(target), bool(writable)) for source, target, writable in json.load(sys.stdin)]
        namespace = os.open(f"/proc/{int(sys.argv[1])}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        trees = [mounts.open_tree(source, 0 if writable else mounts.READ_ONLY) for source, _, writable in wanted]
        kinds = [Path(source).is_dir() for source, _, _ in wanted]
        if os.fstat(namespace).st_ino == Path("/proc/self/ns/mnt").stat().st_ino:
            raise ValueError("that process is in no container")
        # From here on `/` is the container's.
        mounts.enter(namespace, mounts.NEW_MOUNTS)
        for (_, target, _), tree, is_folder in zip(wanted, trees, kinds, strict=True):
            if not os.path.lexists(target):
                _make_place(Path(target), is_folder=is_folder)
            mounts.move_tree(tree, target)
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


def _make_place(place: Path, *, is_folder: bool) -> None:
    """Make something to mount at; the root of a container is read-only but for this moment."""
    mounts.make_writable("/", is_writable=True)
    try:
        (place if is_folder else place.parent).mkdir(parents=True, exist_ok=True)
        if not is_folder:
            place.touch()
    finally:
        mounts.make_writable("/", is_writable=False)
