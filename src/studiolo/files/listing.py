"""What is in a folder: sorted, filtered, a page at a time; only what is shown is looked at closely."""

import contextlib
import heapq
import json
import mimetypes
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from typing import NamedTuple, Self

from studiolo.contract.errors import StudioloError
from studiolo.contract.files import FileEntry, FileKind, FileSort
from studiolo.files.names import is_ours, is_text, parts_of, sort_key, to_wire
from studiolo.files.refusals import missing, told
from studiolo.files.root import Found, Root
from studiolo.kit.cursors import cursor_invalid, read_cursor, write_cursor

MAX_PAGE = 10_000
# Earlier ones strftime writes with less than four digits.
_FIRST_YEAR = 1000
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}


# What a name is sorted by: whether it is no folder, the value (0 by name), its text, itself.
_Key = tuple[bool, int, str, str]


def list_folder(
    root: Root,
    path: str,
    *,
    cursor: str | None = None,
    limit: int = 200,
    text: str = "",
    sort: FileSort = FileSort.NAME,
) -> bytes:
    """Return a page of what is in a folder, the JSON of a Page[FileEntry]; `text`: only names that hold it.

    Errors as of Root.
    """
    after = _read_cursor(cursor, sort)
    limit = max(1, min(limit, MAX_PAGE))
    with root.open_folder(path) as folder, told("/".join(folder.parts)):
        keys = [key for key in _keys(folder.handle, sort_key(text), sort) if after is None or key > after]
        found = heapq.nsmallest(limit + 1, keys)
        place = _Place.of(root, folder)
        entries = [place.entry(name) for _, _, _, name in found[:limit]]
    next_cursor = write_cursor(sort.value, json.dumps(found[limit - 1])) if len(found) > limit else None
    items = ",".join([entry for entry in entries if entry is not None])
    return f'{{"items":[{items}],"next_cursor":{json.dumps(next_cursor)},"total":null}}'.encode()


def describe(root: Root, path: str) -> FileEntry:
    """Return what a path names, a link itself. Errors as of Root."""
    with contextlib.ExitStack() as opened:
        parts = parts_of(path)
        if not parts:
            seen = os.fstat(root.handle)
            return FileEntry(name="", path="", kind=FileKind.FOLDER, modified_at=time_of(seen.st_mtime))
        folder = opened.enter_context(root.open_folder(to_wire("/".join(parts[:-1]))))
        name = parts[-1]
        entry = _Place.of(root, folder).entry(name)
    if entry is None:
        raise missing("/".join((*folder.parts, name)))
    return FileEntry.model_validate_json(entry)


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


def _read_cursor(cursor: str | None, sort: FileSort) -> _Key | None:
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


def _keys(handle: int, text: str, sort: FileSort) -> Iterator[_Key]:
    by_name = sort is FileSort.NAME
    with os.scandir(handle) as entries:
        for entry in entries:
            name = entry.name
            folded = sort_key(name)
            if (not text or text in folded) and not is_ours(name):
                yield not _is_folder(entry), 0 if by_name else _value(entry, sort), folded, name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _value(entry: os.DirEntry[str], sort: FileSort) -> int:
    # What vanished meanwhile comes last, and is left out.
    with contextlib.suppress(OSError):
        seen = entry.stat(follow_symlinks=False)
        return -seen.st_size if sort is FileSort.SIZE else -seen.st_mtime_ns
    return 0


class _Place(NamedTuple):
    """An open folder. `before`: what stands before a name of it in paths, as JSON without its closing quote."""

    root: Root
    handle: int
    before: str

    @classmethod
    def of(cls, root: Root, folder: Found) -> Self:
        return cls(root, folder.handle, quoted(to_wire("".join(f"{part}/" for part in folder.parts)))[:-1])

    def entry(self, name: str) -> str | None:
        """Return the JSON of a name's FileEntry; None if it is gone.

        Put together here: for thousands of names a model of each would take several times as long.
        """
        try:
            seen = os.stat(name, dir_fd=self.handle, follow_symlinks=False)
        except FileNotFoundError:
            return None
        # Most names are; thousands of calls would be for nothing.
        is_plain = name.isascii()
        shown = quoted(name if is_plain else to_wire(name))
        path = f"{self.before}{shown[1:]}"
        kind = _KINDS.get(stat.S_IFMT(seen.st_mode), "other")
        leads_to = _target(self.root, path) if kind == "link" else "null"
        size, etag = (seen.st_size, quoted(etag_of(seen))) if kind == "file" else ("null", "null")
        return (
            f'{{"name":{shown},"path":{path},"kind":"{kind}","leads_to":{leads_to},"size":{size},'
            f'"modified_at":{_written_time(seen.st_mtime_ns)},'
            f'"is_text":{"true" if is_plain or is_text(name) else "false"},"etag":{etag}}}'
        )


def _written_time(mtime_ns: int) -> str:
    second, rest = divmod(mtime_ns, 1_000_000_000)
    begin = _written_second(second)
    return f'"{begin}.{rest // 1000:06d}+00:00"' if begin else "null"


@lru_cache(maxsize=4096)
def _written_second(second: int) -> str | None:
    # The files of a folder were often written in few seconds, and to write a time down costs more than to look it up.
    time = time_of(second)
    return time.strftime("%Y-%m-%dT%H:%M:%S") if time and time.year >= _FIRST_YEAR else None


def _target(root: Root, path: str) -> str:
    """Return what a link leads to, as JSON; `path`: of the wire, as JSON."""
    with contextlib.suppress(StudioloError), root.open(json.loads(path)) as found:
        return '"folder"' if found.is_folder else '"file"'
    return "null"
