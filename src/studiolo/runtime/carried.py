"""A folder of files as it is carried to another engine: listed, read, written, checked. Never follows a link.

Whoever is at the other end may be anybody's kernel: a path is taken apart here, and each folder on the way is opened
by itself. Runs on Python 3.9 and newer with the standard library alone, also as text sent into a kernel.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 1 << 20
# What some file systems have at their top; it is theirs.
_LOST = "lost+found"
# Made where it is, and again at the other end (see `runtime.rebuild`).
_STAYS = (_LOST, ".studiolo/environment")
# Path below the folder, kind (folder, file, link), size in bytes, time of change in ns, mode, a link's target.
Entry = list[Any]


def answer(folder: CarriedFolder, body: bytes) -> bytes:
    """Do a call that came from elsewhere; returns the answer to send back.

    Both are one line of JSON, a line feed, then a block of bytes: {"name", "arguments"}; {"result"}, or {"errno"} for
    an OSError, or {"refused"} for what is no call of ours.
    """
    line, _, block = body.partition(b"\n")
    found = b""
    try:
        asked = json.loads(line)
        result, found = folder.call(asked["name"], asked["arguments"], block)
        told = {"result": result}
    except OSError as exc:
        told = {"errno": exc.errno or 0}
    except (ValueError, TypeError, KeyError) as exc:
        told = {"refused": str(exc)}
    return json.dumps(told).encode() + b"\n" + found


class CarriedFolder:
    """The files below `root`. What is made belongs to whoever owns `root`, where this process may give it away."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._listing: list[Entry] = []

    def call(self, name: str, arguments: dict[str, Any], block: bytes = b"") -> tuple[Any, bytes]:
        """Do what a caller elsewhere names; returns what can be JSON, and bytes. Raises OSError, ValueError."""
        if name == "read":
            return None, self.read(**arguments)
        if name == "write":
            self.write(block=block, **arguments)
            return None, b""
        if name not in ("entries", "make", "finish", "digest", "room", "rename", "remove", "clear", "settle"):
            raise ValueError(f"no such call: {name[:20]}")
        return getattr(self, name)(**arguments), b""

    def entries(self, start: int, most: int) -> list[Entry]:
        """Return entries from number `start` on, each folder before what is in it; 0 looks anew.

        Sockets, pipes and devices are left out.
        """
        if start == 0:
            self._listing = [*self._walk()]
        return self._listing[start : start + most]

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes of a file."""
        with self._file(path, os.O_RDONLY) as file:
            return os.pread(file, size, offset)

    def write(self, path: str, offset: int, block: bytes) -> None:
        """Write into a file, which is private until it is finished. At offset 0 it is made anew."""
        with self._parent(path) as (here, name):
            if offset == 0:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=here)
            file = os.open(name, os.O_WRONLY | os.O_CREAT | _FILE, stat.S_IRUSR | stat.S_IWUSR, dir_fd=here)
            try:
                while block:
                    # A disk that is nearly full takes a part and refuses the rest at the next call.
                    written = os.pwrite(file, block, offset)
                    block, offset = block[written:], offset + written
            finally:
                os.close(file)

    def finish(self, path: str, modified_ns: int, mode: int) -> None:
        """Give a file or folder its owner, mode and time; never the rights of another account."""
        with self._parent(path) as (here, name):
            made = os.open(name, os.O_RDONLY | _FILE, dir_fd=here)
            try:
                self._give(made)
                os.fchmod(made, mode & 0o777)
                os.utime(made, ns=(modified_ns, modified_ns))
            finally:
                os.close(made)

    def make(self, path: str, kind: str, target: str = "") -> None:
        """Make a folder or a link; one that is there is success."""
        with self._parent(path) as (here, name), contextlib.suppress(FileExistsError):
            if kind == "folder":
                os.mkdir(name, stat.S_IRWXU, dir_fd=here)
            else:
                os.symlink(target, name, dir_fd=here)
                if os.geteuid() == 0:
                    owner = Path(self._root).stat()
                    os.chown(name, owner.st_uid, owner.st_gid, dir_fd=here, follow_symlinks=False)

    def digest(self, path: str) -> str:
        """Return the SHA-256 of what a file holds, as hexadecimal digits."""
        told = hashlib.sha256()
        with self._file(path, os.O_RDONLY) as file:
            while block := os.read(file, _BLOCK):
                told.update(block)
        return told.hexdigest()

    def room(self) -> int:
        """Return how many bytes may still be written."""
        seen = os.statvfs(self._root)
        return seen.f_bavail * seen.f_frsize

    def settle(self) -> None:
        """Return once all that was written would outlive a power cut."""
        os.sync()

    def rename(self, path: str, target: str) -> None:
        """Give a file, a link or a folder another name. Raises FileExistsError where something has it."""
        with self._parent(path) as (here, name), self._parent(target) as (there, new):
            try:
                os.stat(new, dir_fd=there, follow_symlinks=False)
            except FileNotFoundError:
                os.rename(name, new, src_dir_fd=here, dst_dir_fd=there)
                return
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)

    def remove(self, path: str) -> None:
        """Remove what is there, a folder with all that is in it; what is gone is success."""
        with contextlib.suppress(FileNotFoundError), self._parent(path) as (here, name):
            _remove(name, here)

    def clear(self) -> None:
        """Remove all files."""
        with os.scandir(self._root) as found:
            for entry in [entry for entry in found if entry.name != _LOST]:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    Path(entry.path).unlink()

    def _walk(self) -> Iterator[Entry]:
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            with self._folder(folder.split("/") if folder else []) as here, os.scandir(here) as found:
                for entry in sorted(found, key=lambda entry: entry.name):
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if path in _STAYS:
                        continue
                    seen = entry.stat(follow_symlinks=False)
                    mode = stat.S_IMODE(seen.st_mode)
                    if stat.S_ISDIR(seen.st_mode):
                        waiting.append(path)
                        # Its time changes with what is made in it.
                        yield [path, "folder", 0, 0, mode, ""]
                    elif stat.S_ISREG(seen.st_mode):
                        yield [path, "file", seen.st_size, seen.st_mtime_ns, mode, ""]
                    elif stat.S_ISLNK(seen.st_mode):
                        yield [path, "link", 0, 0, 0, os.readlink(entry.name, dir_fd=here)]

    def _give(self, made: int) -> None:
        if os.geteuid() == 0:
            owner = Path(self._root).stat()
            os.fchown(made, owner.st_uid, owner.st_gid)

    @contextlib.contextmanager
    def _file(self, path: str, flags: int) -> Iterator[int]:
        with self._parent(path) as (here, name):
            file = os.open(name, flags | _FILE, dir_fd=here)
            try:
                yield file
            finally:
                os.close(file)

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        parts = path.split("/")
        if "\0" in path or {"", ".", ".."} & set(parts):
            raise ValueError(f"not a path below the folder: {path[:80]!r}")
        with self._folder(parts[:-1]) as here:
            yield here, parts[-1]

    @contextlib.contextmanager
    def _folder(self, parts: list[str]) -> Iterator[int]:
        here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                inner = os.open(part, _FOLDER, dir_fd=here)
                os.close(here)
                here = inner
            yield here
        finally:
            os.close(here)


def _remove(name: str, here: int) -> None:
    """Remove a file, a link or a whole folder of the open folder `here`."""
    try:
        inner = os.open(name, _FOLDER, dir_fd=here)
    except OSError as exc:
        if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        os.unlink(name, dir_fd=here)
        return
    try:
        with os.scandir(inner) as found:
            names = [entry.name for entry in found]
        for each in names:
            _remove(each, inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=here)
