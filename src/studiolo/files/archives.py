"""Files and folders as one zip archive, written as they are met; nothing is kept, nothing leads out."""

import contextlib
import io
import os
import stat
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from studiolo.files.names import is_ours, is_text, parts_of, to_wire
from studiolo.files.root import Found, Root

_PIECE = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
LEFT_OUT = "LEFT-OUT.txt"
# To press these once more costs time and wins nothing.
_PRESSED = frozenset(
    f".{ending}"
    for ending in (
        *("7z", "avif", "br", "bz2", "docx", "feather", "gif", "gz", "heic", "jpeg", "jpg", "lz4", "mov", "mp3", "mp4"),
        *(
            "npz",
            "orc",
            "parquet",
            "pdf",
            "png",
            "pptx",
            "rar",
            "tgz",
            "webm",
            "webp",
            "whl",
            "xlsx",
            "xz",
            "zip",
            "zst",
        ),
    )
)


class Sink(Protocol):
    """Takes the archive's bytes as they come."""

    def write(self, data: bytes) -> int:
        """Take some bytes; returns how many."""
        ...


@dataclass
class _Stream(io.RawIOBase):
    """A file that can only be written, and knows where it is."""

    sink: Sink
    place: int = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.sink.write(bytes(data))
        self.place += len(data)
        return len(data)

    def tell(self) -> int:
        return self.place

    def flush(self) -> None:
        """Nothing is held back."""


@dataclass
class _Archive:
    """An archive being written. `left_out`: what could not be taken, and why."""

    file: zipfile.ZipFile
    left_out: list[str] = field(default_factory=list)


def write_zip(root: Root, paths: Iterable[str], sink: Sink, *, also: Mapping[str, bytes] | None = None) -> None:
    """Write the files and folders at `paths` into `sink` as a zip archive, each under its own last name.

    `also`: entries beside them, by name. Links, devices and what cannot be read are left out and named in LEFT-OUT.txt
    at the end. Blocking. Raises errors of Root for a path that is not there, before anything is written; whatever
    `sink` raises.
    """
    with contextlib.ExitStack() as opened:
        tops = [(top_name(path), opened.enter_context(root.open(path))) for path in paths]
        with zipfile.ZipFile(_Stream(sink), "w", allowZip64=True) as file:
            archive = _Archive(file)
            for name, content in (also or {}).items():
                file.writestr(name, content)
            for name, found in tops:
                _add_top(archive, name, found)
            if archive.left_out:
                file.writestr(LEFT_OUT, "".join(f"{line}\n" for line in archive.left_out))


def top_name(path: str) -> str:
    """Return the name under which a path stands in an archive, and an archive of it alone is saved."""
    parts = parts_of(path)
    return parts[-1] if parts else ""


def _add_top(archive: _Archive, name: str, found: Found) -> None:
    if found.is_folder:
        _add_folder(archive, name, found.handle)
    else:
        _add_file(archive, name, found.handle, found.stat)


def _add_folder(archive: _Archive, path: str, handle: int) -> None:
    if path:
        archive.file.writestr(_entry(f"{path}/", os.fstat(handle)), b"")
    with os.scandir(handle) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        if not is_ours(name):
            _add(archive, f"{path}/{name}" if path else name, name, handle)


def _add(archive: _Archive, path: str, name: str, folder: int) -> None:
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(seen.st_mode):
            with _opened(name, _FOLDER, folder) as handle:
                _add_folder(archive, path, handle)
        elif stat.S_ISREG(seen.st_mode):
            with _opened(name, _FILE, folder) as handle:
                _add_file(archive, path, handle, os.fstat(handle))
        else:
            kind = "a link" if stat.S_ISLNK(seen.st_mode) else "no plain file"
            archive.left_out.append(f"{to_wire(path)}: {kind}")
    except _UnreadableError as exc:
        archive.left_out.append(f"{to_wire(path)}: {exc}")


class _UnreadableError(Exception):
    """A file or folder that cannot be opened; its text says why."""


@contextlib.contextmanager
def _opened(name: str, flags: int, folder: int) -> Iterator[int]:
    try:
        handle = os.open(name, flags, dir_fd=folder)
    except OSError as exc:
        raise _UnreadableError(exc.strerror or str(exc)) from exc
    try:
        yield handle
    finally:
        os.close(handle)


def _add_file(archive: _Archive, path: str, handle: int, seen: os.stat_result) -> None:
    entry = _entry(path, seen)
    # A file may grow meanwhile: what is there when it is reached is what is taken.
    with archive.file.open(entry, "w", force_zip64=True) as member:
        while piece := os.read(handle, _PIECE):
            member.write(piece)


def _entry(path: str, seen: os.stat_result) -> zipfile.ZipInfo:
    # Earlier and later times cannot be written.
    year_1980, year_2107 = 315_619_200, 4_354_819_198
    at = time.gmtime(min(max(seen.st_mtime, year_1980), year_2107))
    shown = path if is_text(path) else to_wire(path)
    entry = zipfile.ZipInfo(shown, at[:6])
    entry.external_attr = (seen.st_mode & 0xFFFF) << 16
    is_pressed = os.path.splitext(path)[1].lower() in _PRESSED or path.endswith("/")  # noqa: PTH122
    entry.compress_type = zipfile.ZIP_STORED if is_pressed else zipfile.ZIP_DEFLATED
    entry._compresslevel = 1  # type: ignore[attr-defined]
    return entry
