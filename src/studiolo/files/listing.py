"""What is in a folder: sorted, filtered, a page at a time; only what is shown is looked at closely."""

import contextlib
import json
import mimetypes
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from studiolo.contract.errors import StudioloError
from studiolo.contract.files import FileEntry, FileKind, FileSort
from studiolo.contract.models import Page
from studiolo.files.names import is_ours, is_text, parts_of, sort_key, to_wire
from studiolo.files.refusals import missing, told
from studiolo.files.root import Root
from studiolo.kit.cursors import cursor_invalid, read_cursor, write_cursor

MAX_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class _Name:
    """A name with what it is sorted by: whether it is no folder, the value (0 by name), its text, itself."""

    name: str
    is_file: bool
    value: int

    @property
    def key(self) -> tuple[bool, int, str, str]:
        return self.is_file, self.value, sort_key(self.name), self.name


def list_folder(
    root: Root,
    path: str,
    *,
    cursor: str | None = None,
    limit: int = 200,
    text: str = "",
    sort: FileSort = FileSort.NAME,
) -> Page[FileEntry]:
    """Return a page of what is in a folder; `text`: only names that hold it. Errors as of Root."""
    after = _read_cursor(cursor, sort)
    limit = max(1, min(limit, MAX_PAGE))
    with root.open_folder(path) as folder, told("/".join(folder.parts)):
        names = sorted(_names(folder.handle, sort_key(text), sort), key=lambda name: name.key)
        if after is not None:
            names = [name for name in names if name.key > after]
        entries = [_entry(root, folder.handle, folder.parts, name.name) for name in names[:limit]]
    more = len(names) > limit
    return Page(
        items=[entry for entry in entries if entry is not None],
        next_cursor=write_cursor(sort.value, json.dumps(names[limit - 1].key)) if more else None,
    )


def describe(root: Root, path: str) -> FileEntry:
    """Return what a path names, a link itself. Errors as of Root."""
    with contextlib.ExitStack() as opened:
        parts = parts_of(path)
        if not parts:
            seen = os.fstat(root.handle)
            return FileEntry(name="", path="", kind=FileKind.FOLDER, modified_at=time_of(seen.st_mtime))
        folder = opened.enter_context(root.open_folder(to_wire("/".join(parts[:-1]))))
        name = parts[-1]
        entry = _entry(root, folder.handle, folder.parts, name)
    if entry is None:
        raise missing("/".join((*folder.parts, name)))
    return entry


def etag_of(seen: os.stat_result) -> str:
    """Return what names a file's content by what the file system knows: number, size and time of the last change."""
    return f'"{seen.st_ino:x}-{seen.st_size:x}-{seen.st_mtime_ns:x}"'


def media_type(name: str) -> str:
    """Return the media type that a name suggests."""
    if name.endswith(".ipynb"):
        return "application/x-ipynb+json"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def time_of(timestamp: float) -> datetime | None:
    """Return a file's time; None for one that no calendar has: anybody can set it to anything."""
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _read_cursor(cursor: str | None, sort: FileSort) -> tuple[bool, int, str, str] | None:
    found = read_cursor(cursor)
    if found is None:
        return None
    try:
        is_file, value, text, name = json.loads(found[1])
        key = bool(is_file), int(value), str(text), str(name)
    except (ValueError, TypeError) as exc:
        raise cursor_invalid() from exc
    if found[0] != sort.value:
        raise cursor_invalid()
    return key


def _names(handle: int, text: str, sort: FileSort) -> list[_Name]:
    with os.scandir(handle) as entries:
        return [
            _Name(entry.name, not _is_folder(entry), _value(entry, sort))
            for entry in entries
            if not is_ours(entry.name) and (not text or text in sort_key(entry.name))
        ]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):
        return entry.is_dir(follow_symlinks=False)
    return False


def _value(entry: os.DirEntry[str], sort: FileSort) -> int:
    if sort is FileSort.NAME:
        return 0
    # What vanished meanwhile comes last, and is left out.
    with contextlib.suppress(OSError):
        seen = entry.stat(follow_symlinks=False)
        return -seen.st_size if sort is FileSort.SIZE else -seen.st_mtime_ns
    return 0


def _entry(root: Root, handle: int, parts: tuple[str, ...], name: str) -> FileEntry | None:
    try:
        seen = os.stat(name, dir_fd=handle, follow_symlinks=False)
    except FileNotFoundError:
        return None
    kind = _kind(seen)
    shown: dict[str, Any] = {}
    path = to_wire("/".join((*parts, name)))
    if kind is FileKind.FILE:
        shown = {"size": seen.st_size, "etag": etag_of(seen)}
    elif kind is FileKind.LINK:
        shown = {"leads_to": _target(root, path)}
    modified_at = time_of(seen.st_mtime)
    return FileEntry.model_construct(
        name=to_wire(name), path=path, kind=kind, modified_at=modified_at, is_text=is_text(name), **shown
    )


def _kind(seen: os.stat_result) -> FileKind:
    if stat.S_ISREG(seen.st_mode):
        return FileKind.FILE
    if stat.S_ISDIR(seen.st_mode):
        return FileKind.FOLDER
    return FileKind.LINK if stat.S_ISLNK(seen.st_mode) else FileKind.OTHER


def _target(root: Root, path: str) -> FileKind | None:
    with contextlib.suppress(StudioloError), root.open(path) as found:
        return FileKind.FOLDER if found.is_folder else FileKind.FILE
    return None
