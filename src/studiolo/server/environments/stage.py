"""Making a folder in one step: built beside its place under a lock, renamed there when whole."""

import fcntl
import os
import secrets
import shutil
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

# A folder is whole when it holds this file; it is written last.
READY = ".ready"
_PART = ".part"
_REMOVED = ".removed"
_ASIDE = ".old"


class Stage:
    """The empty folder `path` in which `target` is built; this process and what inherits `lock` own it.

    As a context manager it removes what was not published. The lock is the kernel's (flock on the folder),
    so that it ends with its last holder, and a child that outlives a killed builder keeps others away.
    """

    def __init__(self, path: Path, target: Path, lock: int) -> None:
        self.path = path
        self.target = target
        self.lock = lock

    def publish(self) -> None:
        """Mark the folder as whole and move it to its place, over an unfinished one that may stand there."""
        (self.path / READY).touch()
        if self.target.exists():
            _remove_tree(self.target)
        self.path.rename(self.target)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was not published and let others in."""
        if _is_same(self.path, self.lock):
            _remove_tree(self.path)
        os.close(self.lock)


def is_ready(folder: Path) -> bool:
    """Tell whether the folder is whole."""
    return (folder / READY).exists()


def claim(target: Path, *, wait: bool) -> Stage | None:
    """Return the stage for building `target`, emptied of what a killed builder left.

    None when `target` is whole, or with `wait=False` when another builder is at work.
    """
    part = _beside(target, _PART)
    while not is_ready(target):
        part.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(lock)
            return None
        stage = Stage(part, target, lock)
        # While we waited another builder may have finished, and moved the folder that we locked.
        if _is_same(part, lock) and not is_ready(target):
            _empty(part)
            return stage
        stage.close()
    return None


def discard(target: Path) -> None:
    """Remove `target` and what killed builders or removers of it left; success if nothing is there.

    The name is free at once and no half of it is ever seen. Links are removed, never followed.
    """
    removed = _beside(target, _REMOVED)
    _remove_tree(removed)
    if target.is_symlink():
        target.unlink()
    elif target.exists():
        target.rename(removed)
        _remove_tree(removed)
    discard_abandoned(_beside(target, _PART))


def put_aside(target: Path) -> Path | None:
    """Free the name of a folder in one step; return where it lies to be removed, None if there was none."""
    aside = _beside(target, f".{secrets.token_hex(4)}{_ASIDE}")
    try:
        target.rename(aside)
    except FileNotFoundError:
        return None
    return aside


def list_aside(folder: Path) -> list[Path]:
    """List what lies in `folder` to be removed."""
    return list(folder.glob(f".*{_ASIDE}"))


def remove_aside(aside: Path) -> None:
    """Remove what was put aside; success if somebody else did. Links are removed, never followed."""
    if aside.is_symlink():
        aside.unlink(missing_ok=True)
    else:
        _remove_tree(aside)


def discard_abandoned(part: Path) -> None:
    """Remove a stage whose builder was killed; leave one that somebody works in."""
    if not part.is_dir() or part.is_symlink():
        return
    lock = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_same(part, lock):
            _remove_tree(part)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)


def list_parts(folder: Path, prefix: str) -> list[Path]:
    """List the stages in `folder` of targets whose name begins with `prefix`."""
    return list(folder.glob(f".{prefix}*{_PART}"))


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f".{target.name}{suffix}")


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _empty(folder: Path) -> None:
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            _remove_tree(Path(entry.path))
        else:
            os.unlink(entry.path)  # noqa: PTH108


def _remove_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except PermissionError:
        # Somebody made a folder in it read-only.
        _open_folders(folder)
        shutil.rmtree(folder)


def _open_folders(top: Path) -> None:
    top.chmod(stat.S_IRWXU)
    for folder, names, _ in os.walk(top):
        for inner in (Path(folder, name) for name in names):
            if not inner.is_symlink():
                inner.chmod(stat.S_IRWXU)
