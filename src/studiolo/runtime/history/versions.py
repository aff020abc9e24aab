"""Versions of a workspace's files: kept, listed, read, thinned out."""

import hashlib
import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from secrets import token_hex

from studiolo.runtime.history.lines import Line, Lines
from studiolo.runtime.history.objects import Objects, digest
from studiolo.runtime.history.place import OURS, find_status, list_names, opened, parts_of

# Longer files are saved, but neither kept as versions nor compared.
MOST_BYTES = 256 * 1024 * 1024
_MOST_OF_OTHERS = 5 * 1024 * 1024
_LOG = (OURS, "history", "log")
CONFLICT = "conflict"
OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Version:
    """What a file was. `path`: its name then; `at`: seconds since 1970; `size`: bytes; `by`: a person's id, or empty.

    `how`: session, kernel, upload, restore; `outside`: found so on the disk when it was about to be replaced;
    `conflict`: it was not written, since another had written meanwhile.
    """

    id: str
    path: str
    at: float
    hash: str
    size: int
    by: str
    how: str


class Versions:
    """The versions kept in one workspace's folder. Any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects = Objects(root)
        self._moves = Lines(root, _LOG[:-1], "moves.jsonl")

    def keep(self, path: str, content: bytes, *, by: str, how: str) -> Version:
        """Keep a content of the file at `path`; durable when this returns. Raises OSError, ValueError (the path)."""
        parts_of(path)
        now = time.time()
        version = Version(new_id(now), path, now, digest(content), len(content), by, how)
        self._objects.put(version.hash, content)
        self._log(path).append(_line(version))
        if not self._objects.has(version.hash):
            # Removed as unused in the moment before the line was there.
            self._objects.put(version.hash, content)
        return version

    def is_kept(self, path: str, hash: str) -> bool:
        """Tell whether a content of the file at `path` is kept."""
        return self._objects.has(hash) and self._log(path).holds(hash)

    def list_(self, path: str) -> list[Version]:
        """Return the file's versions, newest first, under all names that it had."""
        parts_of(path)
        found: dict[str, Version] = {}
        for name, since, until in self._names(path):
            found |= {kept.id: kept for kept in _read(self._log(name)) if since <= kept.at < until}
        newest_first = sorted(found.values(), key=lambda kept: (kept.at, kept.id), reverse=True)
        return [
            kept
            for kept, older in zip_longest(newest_first, newest_first[1:])
            # Found as somebody else had kept it under a name before: nothing new.
            if not (kept.how == OUTSIDE and older is not None and older.hash == kept.hash and older.how != CONFLICT)
        ]

    def find(self, path: str, version_id: str) -> Version | None:
        """Return one version of a file."""
        return next((version for version in self.list_(path) if version.id == version_id), None)

    def read(self, version: Version, *, most: int = MOST_BYTES) -> bytes:
        """Return a version's content. Raises FileNotFoundError: somebody removed it; FileTooLongError."""
        return self._objects.get(version.hash, most=most)

    def moved(self, old: str, new: str) -> None:
        """Be told that a file or folder has another name now: its versions go with it. Raises OSError."""
        self._moves.append({"id": new_id(time.time()), "at": time.time(), "from": old, "to": new})

    def prune(self, before: float) -> None:
        """Forget what had been replaced before a time (seconds since 1970), and the contents that nobody needs then.

        The newest version of a file that is there stays, however old. May be killed and repeated. Raises OSError.
        """
        wanted: set[str] = set()
        with suppress(FileNotFoundError):
            for log in self._all_logs():
                log.thin(lambda lines: self._still_wanted(lines, before))
                wanted.update(version.hash for version in _read(log))
            self._moves.thin(lambda lines: [line for line in lines if _time(line) >= before])
        self._objects.remove_others(wanted)

    def _still_wanted(self, lines: list[Line], before: float) -> list[Line]:
        times = [_time(line) for line in lines if line.get("how") != CONFLICT]
        # What was there when `before` came may still be what somebody looks for.
        edge = max((at for at in times if at < before), default=before)
        if not any(at >= before for at in times) and not self._is_there(lines):
            edge = before
        return [line for line in lines if _time(line) >= (before if line.get("how") == CONFLICT else edge)]

    def _is_there(self, lines: list[Line]) -> bool:
        try:
            *folders, name = parts_of(str(lines[-1]["path"]))
            with opened(self.root, tuple(folders)) as folder:
                return find_status(folder, name) is not None
        except (OSError, ValueError, LookupError):
            return False

    def _log(self, path: str) -> Lines:
        name = hashlib.sha256(os.fsencode(path)).hexdigest()
        return Lines(self.root, (*_LOG, name[:2]), f"{name}.jsonl")

    def _all_logs(self) -> Iterator[Lines]:
        with opened(self.root, _LOG) as folder:
            groups = list_names(folder)
        for group in groups:
            with opened(self.root, (*_LOG, group)) as folder:
                names = {name.removesuffix(".old") for name in list_names(folder)}
            yield from (Lines(self.root, (*_LOG, group), name) for name in names)

    def _names(self, path: str) -> Iterator[tuple[str, float, float]]:
        """Yield the names that a file had, newest first, each with the times between which it had it."""
        until = math.inf
        for move in reversed(self._moves.read()):
            old, new, at = str(move.get("from")), str(move.get("to")), _time(move)
            if _is_beneath(path, new):
                yield path, at, until
                path, until = old + path[len(new) :], at
            elif _is_beneath(path, old):
                # What had the name before went elsewhere.
                yield path, at, until
                return
        yield path, 0.0, until


def new_id(at: float) -> str:
    """Return an id for what happened at a time: 20 hexadecimal digits, in the order of times."""
    return f"{int(at * 1000):012x}{token_hex(4)}"


def is_versioned(path: str, size: int) -> bool:
    """Tell whether versions of a file of `size` bytes are kept: notebooks, and what is small."""
    return size <= (MOST_BYTES if path.endswith(".ipynb") else _MOST_OF_OTHERS)


def _line(version: Version) -> Line:
    return {name: getattr(version, name) for name in Version.__slots__}


def _read(log: Lines) -> Iterator[Version]:
    for line in log.read():
        # Anybody with a terminal may have written it.
        with suppress(KeyError, TypeError, ValueError):
            texts = [str(line[name])[:4096] for name in ("id", "path", "hash", "by", "how")]
            yield Version(texts[0], texts[1], float(line["at"]), texts[2], int(line["size"]), texts[3], texts[4])


def _time(line: Line) -> float:
    at = line.get("at")
    return float(at) if isinstance(at, int | float) else 0.0


def _is_beneath(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")
