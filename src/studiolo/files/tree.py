"""Making, moving, copying and discarding of files and folders. Blocking; what is overwritten is nothing."""

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from studiolo.contract.errors import InvalidInput
from studiolo.files.names import from_wire, is_ours, parts_of, to_wire
from studiolo.files.placing import rename_new
from studiolo.files.refusals import exists, missing, told
from studiolo.files.root import Place, Root, not_regular
from studiolo.kit.copying import copy_file, copy_folder
from studiolo.runtime.history.trash import Trash
from studiolo.runtime.history.versions import Versions

PARTS = "parts"


def make_folder(root: Root, path: str) -> None:
    """Make a folder and those on the way. Raises Conflict (`file-exists`), errors of Root."""
    with root.new_place(path, make_folders=True) as place, told(place.path):
        os.mkdir(place.name, dir_fd=place.folder)
        os.fsync(place.folder)


def move(root: Root, path: str, to: str) -> None:
    """Move or rename a file, folder or link itself; versions follow it. Durable when this returns.

    Raises Conflict (`file-exists`), InvalidInput (`folder-into-itself`), errors of Root.
    """
    check_apart(path, to)
    with root.place(path) as source, root.new_place(to) as target:
        if source.stat() is None:
            raise missing(source.path)
        with told(target.path):
            rename_new(source.folder, source.name, target)
            os.fsync(source.folder)
        # History is a comfort: that it cannot be written must not undo a move that has happened.
        with contextlib.suppress(OSError):
            Versions(root.folder).moved(source.path, target.path)


def discard(root: Root, path: str, *, by: str) -> str:
    """Put a file, folder or link into the workspace's trash and return its id there. Raises errors of Root."""
    with root.place(path) as place:
        if place.stat() is None:
            raise missing(place.path)
        with told(place.path):
            return Trash(root.folder).discard(place.path, by=by).id


@contextmanager
def copied(root: Root, path: str) -> Iterator[tuple[int, str]]:
    """Copy a file or folder aside, as Studiolo's own; yields the open folder and the name that the copy has there.

    What is still there at the end of the block is removed. Links in it stay links; what a link itself leads to is
    not copied in its stead. Raises errors of Root.
    """
    name = f"copy-{secrets.token_hex(8)}"
    with root.place(path) as source, root.own(PARTS) as parts, root.own(PARTS, name) as aside:
        try:
            with told(source.path):
                _copy(source, aside)
            yield aside, source.name
        finally:
            shutil.rmtree(name, ignore_errors=True, dir_fd=parts)


def place_copy(root: Root, aside: tuple[int, str], to: str) -> None:
    """Give a copy made by `copied` its place. Raises Conflict (`file-exists`), errors of Root."""
    with root.new_place(to) as target, told(target.path):
        rename_new(*aside, target)


def check_free(root: Root, to: str) -> None:
    """Raise Conflict (`file-exists`) if something has the name already; errors of Root."""
    with root.new_place(to) as target:
        if target.stat() is not None:
            raise exists(target.path)


def check_apart(path: str, to: str) -> None:
    """Raise InvalidInput (`folder-into-itself`) if `to` lies at or below `path`."""
    source, target = parts_of(path), parts_of(to)
    if source and target[: len(source)] == source:
        shown = to_wire(from_wire(path))[:200]
        raise InvalidInput(
            "folder-into-itself",
            f"{shown!r} cannot go into itself.",
            hint="Choose a place outside it.",
        )


def _copy(source: Place, aside: int) -> None:
    seen = source.stat()
    if seen is None:
        raise missing(source.path)
    if stat.S_ISDIR(seen.st_mode):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.ExitStack() as handles:
            here = os.open(source.name, flags, dir_fd=source.folder)
            handles.callback(os.close, here)
            os.mkdir(source.name, dir_fd=aside)
            there = os.open(source.name, flags, dir_fd=aside)
            handles.callback(os.close, there)
            copy_folder(here, there, skip=is_ours)
    elif stat.S_ISLNK(seen.st_mode):
        os.symlink(os.readlink(source.name, dir_fd=source.folder), source.name, dir_fd=aside)
    elif stat.S_ISREG(seen.st_mode):
        copy_file(source.name, source.folder, aside)
    else:
        raise not_regular(source.path)
