"""What was deleted from a workspace: put aside by a rename, brought back by another."""

import json
import os
import re
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from studiolo.runtime.history.place import OURS, find_status, list_names, opened, parts_of, read_file
from studiolo.runtime.history.versions import new_id
from studiolo.runtime.history.writing import prepared

_PARTS = (OURS, "trash")
_ID = re.compile(r"[0-9a-f]{20}")
_WHAT = ".json"
_MOST_OF_WHAT = 64 * 1024
# A folder without its description: a kill came between the two.
_UNFINISHED_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Discarded:
    """Something in the trash. `path`: where it was; `at`: seconds since 1970; `size`: of a file in bytes, None: a
    folder. `by`: a person's id, or empty.
    """

    id: str
    path: str
    at: float
    by: str
    size: int | None


class Trash:
    """The trash of one workspace's folder. Any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def discard(self, path: str, *, by: str) -> Discarded:
        """Put a file, folder or link aside; durable when this returns.

        Raises FileNotFoundError, other OSError (it lies on another file system, say): it is where it was; ValueError.
        """
        *folders, name = parts_of(path)
        with opened(self._root, tuple(folders)) as source, opened(self._root, _PARTS, make=True) as trash:
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            is_folder = stat.S_ISDIR(status.st_mode)
            now = time.time()
            what = Discarded(new_id(now), path, now, by, None if is_folder else status.st_size)
            try:
                self._describe(trash, what)
                with opened(self._root, (*_PARTS, what.id), make=True) as place:
                    os.rename(name, name, src_dir_fd=source, dst_dir_fd=place)
                    os.fsync(place)
            except OSError:
                _forget(trash, what.id)
                raise
            os.fsync(source)
        return what

    def list_(self) -> list[Discarded]:
        """Return all that is there, newest first."""
        try:
            with opened(self._root, _PARTS) as trash:
                ids = sorted(name.removesuffix(_WHAT) for name in list_names(trash) if name.endswith(_WHAT))
                found = [self._find(trash, discarded_id) for discarded_id in reversed(ids)]
        except FileNotFoundError:
            return []
        return [what for what in found if what is not None]

    def find(self, discarded_id: str) -> Discarded | None:
        """Return one thing in the trash."""
        with suppress(FileNotFoundError), opened(self._root, _PARTS) as trash:
            return self._find(trash, discarded_id)
        return None

    def restore(self, discarded_id: str) -> str:
        """Put something back where it was and return its path: another name if that one is in use again.

        Raises FileNotFoundError: there is no such thing in the trash; other OSError.
        """
        what = self.find(discarded_id)
        if what is None:
            raise FileNotFoundError(discarded_id)
        *folders, name = parts_of(what.path)
        with (
            opened(self._root, _PARTS) as trash,
            opened(self._root, (*_PARTS, what.id)) as place,
            opened(self._root, tuple(folders), make=True, mode=0o777) as target,
        ):
            back = _put_back(place, name, target)
            os.fsync(target)
            _forget(trash, what.id)
        return str(PurePosixPath(*folders, back))

    def erase(self, discarded_id: str) -> None:
        """Remove something for good; that it is gone already is no error. Raises OSError."""
        if _ID.fullmatch(discarded_id):
            with suppress(FileNotFoundError), opened(self._root, _PARTS) as trash:
                _forget(trash, discarded_id)

    def prune(self, before: float) -> None:
        """Erase what was deleted before a time (seconds since 1970), and what kills left. Raises OSError."""
        for what in self.list_():
            if what.at < before:
                self.erase(what.id)
        with suppress(FileNotFoundError), opened(self._root, _PARTS) as trash:
            names = set(list_names(trash))
            for name in names:
                status = find_status(trash, name)
                is_lone = _ID.fullmatch(name) and f"{name}{_WHAT}" not in names
                if is_lone and status is not None and status.st_mtime < time.time() - _UNFINISHED_SECONDS:
                    _forget(trash, name)

    def _describe(self, trash: int, what: Discarded) -> None:
        text = json.dumps({name: getattr(what, name) for name in Discarded.__slots__})
        with prepared(trash, text.encode(), mode=0o600) as put:
            put(f"{what.id}{_WHAT}")

    def _find(self, trash: int, discarded_id: str) -> Discarded | None:
        # Anybody with a terminal may have written what stands there.
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            if not _ID.fullmatch(discarded_id):
                return None
            line = json.loads(read_file(trash, f"{discarded_id}{_WHAT}", most=_MOST_OF_WHAT)[0])
            path = str(line["path"])
            size = None if line["size"] is None else int(line["size"])
            with opened(self._root, (*_PARTS, discarded_id)) as place:
                os.stat(parts_of(path)[-1], dir_fd=place, follow_symlinks=False)
            return Discarded(discarded_id, path, float(line["at"]), str(line["by"])[:64], size)
        return None


def _put_back(place: int, name: str, target: int) -> str:
    """Move what lies in `place` into `target`, overwriting nothing; return the name that it got there."""
    number = 0
    while True:
        number += 1
        wanted = name if number == 1 else _other_name(name, number - 1)
        if find_status(target, wanted) is not None:
            continue
        status = os.stat(name, dir_fd=place, follow_symlinks=False)
        try:
            if not stat.S_ISDIR(status.st_mode):
                os.link(name, wanted, src_dir_fd=place, dst_dir_fd=target, follow_symlinks=False)
                return wanted
        except FileExistsError:
            continue
        except OSError:
            # A file system without further names, or a file of another account.
            pass
        # Onto a folder that was made this instant it succeeds only where that is empty.
        os.rename(name, wanted, src_dir_fd=place, dst_dir_fd=target)
        return wanted


def _other_name(name: str, number: int) -> str:
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    suffix = " (restored)" if number == 1 else f" (restored {number})"
    # A name has 255 bytes at most.
    room = 255 - len(os.fsencode(f"{suffix}{dot}{ending}"))
    return os.fsencode(stem)[:room].decode(errors="ignore") + f"{suffix}{dot}{ending}"


def _forget(trash: int, discarded_id: str) -> None:
    # The description first: what has none is in no list.
    with suppress(FileNotFoundError):
        os.unlink(f"{discarded_id}{_WHAT}", dir_fd=trash)
    with suppress(FileNotFoundError):
        try:
            shutil.rmtree(discarded_id, dir_fd=trash)
        except PermissionError:
            # Somebody closed a folder in it, and it is theirs.
            _open_folders(discarded_id, trash)
            shutil.rmtree(discarded_id, dir_fd=trash)


def _open_folders(name: str, folder: int) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return
    os.chmod(name, stat.S_IRWXU, dir_fd=folder)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        for below in list_names(inner):
            _open_folders(below, inner)
    finally:
        os.close(inner)
