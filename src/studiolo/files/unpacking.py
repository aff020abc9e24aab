"""The one reader of archives that come from elsewhere: plain files and folders, within bounds, in a new folder."""

import contextlib
import os
import stat
import struct
import zipfile
import zlib
from calendar import timegm
from dataclasses import dataclass, field
from pathlib import Path

from studiolo.contract.errors import InvalidInput, LimitReached, StudioloError
from studiolo.contract.sizes import describe_size
from studiolo.files.archives import LEFT_OUT
from studiolo.files.names import is_ours, parts_of

_PIECE = 1 << 20
# What an entry takes in an archive's directory at most, on average: Python holds all of it in memory.
_ENTRY_BYTES = 300
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_MOST_NAMED = 100
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass
class Unpacked:
    """What was unpacked. `description`: the content of the entry that was asked for, None if there is none."""

    description: bytes | None = None
    files: int = 0
    size_bytes: int = 0
    left_out: list[str] = field(default_factory=list)

    def leave_out(self, name: str, why: str) -> None:
        """Note what is not taken over."""
        if len(self.left_out) < _MOST_NAMED:
            self.left_out.append(f"{name[:200]}: {why}")


def unpack(archive: Path, target: Path, *, description: str, max_bytes: int, max_entries: int) -> Unpacked:
    """Unpack a zip into the new folder `target`, which nobody else may write to meanwhile. Blocking.

    Links, devices and Studiolo's own folder are left out. Raises InvalidInput (`archive-invalid`), LimitReached
    (`archive-too-large`) and OSError; the caller removes what was made by then.
    """
    target.mkdir(mode=0o700)
    try:
        _check_directory(archive, max_entries)
        with zipfile.ZipFile(archive) as opened:
            return _Unpacking(opened, target, max_bytes, max_entries).run(description)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, struct.error, UnicodeError) as exc:
        raise _invalid("it is no zip archive, or a damaged one", detail=str(exc)) from exc


class _Unpacking:
    def __init__(self, archive: zipfile.ZipFile, target: Path, max_bytes: int, max_entries: int) -> None:
        self._archive = archive
        self._target = target
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._folders: set[tuple[str, ...]] = {()}
        self._done = Unpacked()

    def run(self, description: str) -> Unpacked:
        """Unpack all of it."""
        for entry in self._archive.infolist():
            if entry.filename == description:
                self._done.description = self._read_small(entry)
            elif is_ours(entry.filename.split("/")[0]) or entry.filename == LEFT_OUT:
                self._done.leave_out(entry.filename, "it is Studiolo's own")
            else:
                self._take(entry)
        return self._done

    def _take(self, entry: zipfile.ZipInfo) -> None:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            self._done.leave_out(entry.filename, "a link" if kind == stat.S_IFLNK else "no plain file")
            return
        if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
            raise _invalid(f"{entry.filename[:200]!r} is encrypted, or packed in an unusual way")
        if entry.filename.startswith("/"):
            raise _invalid(f"{entry.filename[:200]!r} leads out of it")
        try:
            parts = parts_of(entry.filename)
        except StudioloError as exc:
            raise _invalid(exc.message.rstrip(".")) from exc
        if not parts:
            return
        try:
            if entry.is_dir() or kind == stat.S_IFDIR:
                self._make_folders(parts)
            else:
                self._make_folders(parts[:-1])
                self._write(entry, self._target.joinpath(*parts))
        except (FileExistsError, NotADirectoryError) as exc:
            raise _invalid(f"it holds {entry.filename[:200]!r} twice") from exc

    def _make_folders(self, parts: tuple[str, ...]) -> None:
        for length in range(1, len(parts) + 1):
            if parts[:length] not in self._folders:
                self._count()
                self._target.joinpath(*parts[:length]).mkdir()
                self._folders.add(parts[:length])

    def _write(self, entry: zipfile.ZipInfo, path: Path) -> None:
        self._count()
        with self._archive.open(entry) as packed, path.open("xb") as file:
            while piece := packed.read(_PIECE):
                self._done.size_bytes += len(piece)
                if self._done.size_bytes > self._max_bytes:
                    raise _too_large(f"more than {describe_size(self._max_bytes)}")
                file.write(piece)
            mode = entry.external_attr >> 16
            os.fchmod(file.fileno(), (mode & 0o755) | 0o600 if mode else 0o644)
        with contextlib.suppress(ValueError, OverflowError):
            at = timegm((*entry.date_time, 0, 0, 0))
            os.utime(path, (at, at))
        self._done.files += 1

    def _read_small(self, entry: zipfile.ZipInfo) -> bytes:
        with self._archive.open(entry) as packed:
            content = packed.read(_PIECE + 1)
        if len(content) > _PIECE:
            raise _invalid(f"{entry.filename!r} is larger than {describe_size(_PIECE)}")
        return content

    def _count(self) -> None:
        if self._done.files + len(self._folders) > self._max_entries:
            raise _too_large(f"more than {self._max_entries} files and folders")


def _check_directory(archive: Path, max_entries: int) -> None:
    """Refuse an archive whose directory is too large, before Python's module reads all of it."""
    size = archive.stat().st_size
    with archive.open("rb") as file:
        file.seek(max(0, size - _END.size - 0xFFFF))
        tail = file.read()
        at = tail.rfind(b"PK\5\6")
        if at < 0:
            raise zipfile.BadZipFile("no end record")
        directory = _END.unpack_from(tail, at)[5]
        if directory == 0xFFFFFFFF and (locator := tail.rfind(b"PK\6\7", 0, at)) >= 0:
            file.seek(struct.unpack_from("<4sLQ", tail, locator)[2])
            directory = _END_64.unpack(file.read(_END_64.size))[8]
    if directory > max_entries * _ENTRY_BYTES:
        raise _too_large(f"more than {max_entries} files and folders")


def _invalid(why: str, *, detail: str | None = None) -> InvalidInput:
    return InvalidInput(
        "archive-invalid",
        f"The archive cannot be imported: {why}. Nothing was imported.",
        hint="`studiolo export WORKSPACE FILE.zip` makes archives; a plain zip of files works too.",
        detail=detail,
    )


def _too_large(what: str) -> LimitReached:
    return LimitReached(
        "archive-too-large",
        f"The archive holds {what}, which is the limit here. Nothing was imported.",
        hint="An administrator can raise workspaces.import_max_bytes and workspaces.import_max_entries.",
    )
