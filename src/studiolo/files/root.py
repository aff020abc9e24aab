"""A workspace's folder as an open handle. Everything below it is opened from handles, component by component.

No check is made on a path that is then opened by name: what was looked at is what is opened, whatever else
renames or links meanwhile. Links are followed for reading while they stay inside; changes pass through none.
"""

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.files.names import MAX_DEPTH, OURS, check_parts, new_parts_of, outside, parts_of, to_wire, too_deep
from studiolo.files.refusals import IsAFolder, NotAFolder, missing, refusal, told
from studiolo.runtime.acting import acting_as, open_as_oneself, owner_of

T = TypeVar("T")

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe must not hold its opener until somebody writes.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_LINKS = 40


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name stands, or may be made: `folder`, an open handle, and the `name` in it. `path`: for messages."""

    folder: int
    name: str
    path: str

    def stat(self) -> os.stat_result | None:
        """Return what has the name now, a link itself; None for nothing. Raises StudioloError."""
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise refusal(exc, self.path) from exc


@dataclass(frozen=True, slots=True)
class Found:
    """What a path leads to after all links. `parts`: its real components; `handle`: open; `stat`: its own."""

    handle: int
    parts: tuple[str, ...]
    stat: os.stat_result

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder; else it is a plain file."""
        return stat.S_ISDIR(self.stat.st_mode)


class Root:
    """The open folder of a workspace. Paths are those of the wire (see names).

    Work in it is done with the rights of the folder's owner (`runtime.acting`): `with root:` for what one thread does
    from there on, which ends with the root closed; `in_thread` for what others await.

    Every method raises InvalidInput (`name-invalid`, `name-reserved`, `path-outside`, `links-too-many`), NotFound
    (`file-not-found`), Conflict (`file-not-folder`, `file-is-folder`, `file-not-regular`) and Denied
    (`file-not-permitted`). Handles that they give out are closed at the end of the block.
    """

    def __init__(self, folder: Path) -> None:
        try:
            # The workspace's own folder may be a link: who chose it was asked then.
            self.handle = open_as_oneself(folder)
        except OSError as exc:
            raise NotFound(
                "folder-not-found",
                "The workspace's folder is not there.",
                hint="Whoever looks after the machine may have moved it.",
                detail=f"{folder}: {exc}",
            ) from exc
        self.folder = folder
        self.owner = owner_of(self.handle)
        self._entered = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._entered.callback(self.close)
        self._entered.enter_context(acting_as(self.owner))
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    async def in_thread(self, work: Callable[..., T], *arguments: object, **named: object) -> T:
        """Do something blocking in another thread, as the folder's owner."""

        def do() -> T:
            with acting_as(self.owner):
                return work(*arguments, **named)

        return await asyncio.to_thread(do)

    @contextlib.asynccontextmanager
    async def awaited_file(self, path: str) -> AsyncIterator[Found]:
        """Open a file for reading, as `open_file`, in another thread."""
        with contextlib.ExitStack() as opened:
            yield await self.in_thread(opened.enter_context, self.open_file(path))

    def close(self) -> None:
        """Close the handle."""
        os.close(self.handle)

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[Found]:
        """Open the file or folder that `path` leads to, for reading."""
        with contextlib.ExitStack() as handles:
            yield _Walk(self, path, handles).to_end(parts_of(path))

    @contextlib.contextmanager
    def open_file(self, path: str) -> Iterator[Found]:
        """Open a file for reading."""
        with self.open(path) as found:
            if found.is_folder:
                raise IsAFolder(path)
            yield found

    @contextlib.contextmanager
    def open_folder(self, path: str) -> Iterator[Found]:
        """Open a folder for reading."""
        with self.open(path) as found:
            if not found.is_folder:
                raise NotAFolder(path)
            yield found

    @contextlib.contextmanager
    def place(self, path: str, *, make_folders: bool = False) -> Iterator[Place]:
        """Open the folder that holds what `path` names, to change that: it need not exist. No link is passed.

        `make_folders`: make the folders on the way. Raises also Conflict (`link-not-written`), and InvalidInput
        (`path-outside`) for the workspace itself.
        """
        parts = parts_of(path)
        if not parts:
            raise InvalidInput("path-outside", "The workspace's folder itself cannot be changed this way.")
        with contextlib.ExitStack() as handles:
            walk = _Walk(self, path, handles)
            folder = walk.through(parts[:-1], make=make_folders)
            yield Place(folder, parts[-1], "/".join(parts))

    @contextlib.contextmanager
    def new_place(self, path: str, *, make_folders: bool = False) -> Iterator[Place]:
        """As `place`, for a name that is to be made: it must be plain text."""
        new_parts_of(path)
        with self.place(path, make_folders=make_folders) as place:
            yield place

    @contextlib.contextmanager
    def own(self, *names: str) -> Iterator[int]:
        """Open a folder of Studiolo's own below `.studiolo`, making it, closed to other accounts."""
        with contextlib.ExitStack() as handles, told(OURS):
            handle = self.handle
            for name in (OURS, *names):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=handle)
                handle = _keep(handles, os.open(name, _FOLDER, dir_fd=handle))
            yield handle


@contextlib.asynccontextmanager
async def opened_root(folder: Path) -> AsyncIterator[Root]:
    """Open a workspace's folder for what is awaited. Raises NotFound (`folder-not-found`)."""
    root = await asyncio.to_thread(Root, folder)
    try:
        yield root
    finally:
        root.close()


class _Walk:
    """One way from the root. `path`: for messages."""

    def __init__(self, root: Root, path: str, handles: contextlib.ExitStack) -> None:
        self._root = root
        self._path = path
        self._handles = handles
        # The folders on the way, the root first: `..` in a link goes back here, never to where a folder was moved.
        self._stack: list[tuple[str, int]] = []
        self._links = 0
        handles.callback(self._leave_all)

    @property
    def _here(self) -> int:
        return self._stack[-1][1] if self._stack else self._root.handle

    @property
    def _parts(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self._stack)

    def to_end(self, parts: tuple[str, ...]) -> Found:
        """Follow components and the links on them to a folder or a plain file."""
        waiting = list(reversed(parts))
        while waiting:
            name = waiting.pop()
            if name == "..":
                if not self._stack:
                    raise outside(self._path)
                self._leave()
                continue
            check_parts((name,))
            if self._enter(name):
                continue
            if (target := self._read_link(name)) is not None:
                waiting.extend(reversed(target))
                continue
            if waiting:
                raise NotAFolder(self._path)
            return self._file(name)
        with told(self._path):
            return Found(self._here, self._parts, os.fstat(self._here))

    def through(self, parts: tuple[str, ...], *, make: bool) -> int:
        """Enter folders without passing a link, and return the last one's handle."""
        for name in parts:
            if make:
                with told("/".join((*self._parts, name))), contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=self._here)
            if not self._enter(name):
                if self._is_link(name):
                    raise link_not_written("/".join((*self._parts, name)))
                raise NotAFolder(self._path)
        return self._here

    def _enter(self, name: str) -> bool:
        """Open a folder and stand in it; False if the name is something else."""
        try:
            handle = os.open(name, _FOLDER, dir_fd=self._here)
        except OSError as exc:
            if exc.errno in (errno.ENOTDIR, errno.ELOOP):
                return False
            raise refusal(exc, "/".join((*self._parts, name))) from exc
        self._stack.append((name, handle))
        if len(self._stack) > MAX_DEPTH:
            raise too_deep(self._path)
        return True

    def _leave(self) -> None:
        os.close(self._stack.pop()[1])

    def _leave_all(self) -> None:
        while self._stack:
            self._leave()

    def _is_link(self, name: str) -> bool:
        with told(self._path):
            return stat.S_ISLNK(os.stat(name, dir_fd=self._here, follow_symlinks=False).st_mode)

    def _read_link(self, name: str) -> list[str] | None:
        """Return a link's target as components from here, or, after going back to the root, from there."""
        try:
            target = os.readlink(name, dir_fd=self._here)
        except OSError as exc:
            if exc.errno == errno.EINVAL:
                return None
            raise refusal(exc, self._path) from exc
        self._links += 1
        if self._links > _MAX_LINKS:
            raise refusal(OSError(errno.ELOOP, ""), self._path)
        if target.startswith("/"):
            target = self._below_root(target)
            self._leave_all()
        return [part for part in target.split("/") if part not in ("", ".")]

    def _below_root(self, target: str) -> str:
        for root in (str(self._root.folder), os.path.realpath(self._root.folder)):
            if target == root or target.startswith(f"{root}/"):
                return target[len(root) :]
        raise outside(self._path)

    def _file(self, name: str) -> Found:
        try:
            looked = os.stat(name, dir_fd=self._here, follow_symlinks=False)
            # To open a device may do something to it.
            if not stat.S_ISREG(looked.st_mode):
                raise not_regular(self._path)
            handle = _keep(self._handles, os.open(name, _FILE, dir_fd=self._here))
            seen = os.fstat(handle)
        except FileNotFoundError as exc:
            raise missing("/".join((*self._parts, name))) from exc
        except OSError as exc:
            raise refusal(exc, self._path) from exc
        if not stat.S_ISREG(seen.st_mode):
            raise not_regular(self._path)
        return Found(handle, (*self._parts, name), seen)


def not_regular(path: str) -> Conflict:
    """The error for pipes, sockets and devices."""
    return Conflict("file-not-regular", f"{path[:300]!r} is a pipe, socket or device: it is neither read nor written.")


def link_not_written(path: str) -> Conflict:
    """The error for a change that would pass through a link; `path`: the link's, as the system holds it."""
    shown = to_wire(path)[:300]
    return Conflict(
        "link-not-written",
        f"{shown!r} is a link; changes are not made through links.",
        hint="Name the real folder instead.",
    )


def _keep(handles: contextlib.ExitStack, handle: int) -> int:
    handles.callback(os.close, handle)
    return handle
