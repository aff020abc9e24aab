"""A clone on its way among the files of a workspace, and the note that outlives the process that clones. Blocking.

Git works in a folder that only the platform can enter; what it made changes hands there and is moved in whole.
"""

import contextlib
import errno
import os
import shutil
from pathlib import Path

from studiolo.contract.archives import CloneProgress
from studiolo.contract.errors import Conflict, StudioloError
from studiolo.files.placing import rename_new
from studiolo.files.root import Place, Root
from studiolo.kit.copying import copy_folder
from studiolo.runtime.acting import hand_over
from studiolo.runtime.history.place import OURS, opened, read_file
from studiolo.runtime.history.writing import prepared

CLONE = "clone"
_NOTE = "clone.json"
_MOST_OF_NOTE = 64 << 10
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def prepare(folder: Path, place: Path, progress: CloneProgress) -> None:
    """Make the empty `place` for git, and note in the workspace's `folder` that a clone is under way."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700, parents=True)
    with Root(folder) as root, root.own("parts") as parts:
        shutil.rmtree(CLONE, ignore_errors=True, dir_fd=parts)
        with prepared(parts, progress.model_dump_json().encode(), mode=0o600) as put:
            put(_NOTE)


def put(place: Path, folder: Path, name: str) -> None:
    """Move the clone in `place` into the workspace's `folder`. Raises Conflict (`clone-exists`), OSError."""
    root = Root(folder)
    source = os.open(place, _FOLDER)
    try:
        if root.owner is not None:
            hand_over(place / CLONE, root.owner)
        # From a folder of the platform's: not as the owner, who may not take anything from there.
        rename_new(source, CLONE, Place(root.handle, name, name))
    except FileExistsError as exc:
        raise Conflict("clone-exists", f"Somebody made a {name!r} meanwhile; nothing was cloned.") from exc
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        _copy_in(source, folder, name)
    finally:
        os.close(source)
        root.close()


def lay_out(place: Path, path: str) -> Path:
    """Move the clone in `place` to `path` below a new folder there, and return that. Raises OSError."""
    aside = place / "brought"
    target = aside / path
    for folder in reversed(target.relative_to(place).parents[:-1]):
        # As folders of ours are, where these are among a workspace's files.
        (place / folder).mkdir(mode=0o700)
    (place / CLONE).rename(target)
    return aside


def clear(folder: Path, place: Path, *, keep_note: bool) -> None:
    """Remove what is left of a clone that has ended."""
    shutil.rmtree(place, ignore_errors=True)
    with contextlib.suppress(OSError, StudioloError), Root(folder) as root, root.own("parts") as parts:
        shutil.rmtree(CLONE, ignore_errors=True, dir_fd=parts)
        if not keep_note:
            os.unlink(_NOTE, dir_fd=parts)


def read_note(folder: Path) -> CloneProgress | None:
    """Return what a clone noted that was cut off; None: there is none, or it cannot be read."""
    try:
        with opened(folder, (OURS, "parts")) as parts:
            return CloneProgress.model_validate_json(read_file(parts, _NOTE, most=_MOST_OF_NOTE)[0])
    except (OSError, ValueError):
        return None


def _copy_in(source: int, folder: Path, name: str) -> None:
    """Bring a clone from another disk, first aside."""
    clone = os.open(CLONE, _FOLDER, dir_fd=source)
    try:
        with Root(folder) as root, root.own("parts") as parts, root.own("parts", CLONE) as aside:
            copy_folder(clone, aside)
            rename_new(parts, CLONE, Place(root.handle, name, name))
    finally:
        os.close(clone)
