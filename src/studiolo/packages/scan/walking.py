"""The files of a workspace, found without following a link, within bounds."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from studiolo.contract.scans import Finding, Place
from studiolo.packages.scan import rules
from studiolo.packages.scan.rules import clipped

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe must not hold its opener until somebody writes.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_FILES = 50_000
_MOST_ENTRIES = 500_000
_DEEPEST = 60
# What tools make, and copies of what is read anyway; `.studiolo` is ours.
_SKIPPED = frozenset(
    {".git", ".hg", ".svn", ".studiolo", ".ipynb_checkpoints", "__pycache__", "node_modules", ".venv", "venv", ".tox"}
    | {".mypy_cache", ".ruff_cache", ".pytest_cache", "site-packages", ".pixi"}
)
_REVERSING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class File:
    """A plain file. `path`: in the workspace, as the system has it; `size` in bytes."""

    path: str
    size: int


@dataclass(slots=True)
class Walk:
    """Walks a folder. After `files` has ended, `findings` and `skipped` (folders not entered) are complete."""

    root: Path
    findings: list[Finding] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    _entries: int = 0
    _found: int = 0

    def files(self) -> Iterator[File]:
        """Yield plain files by name, folder by folder. Nothing raises: what cannot be read is a finding."""
        try:
            handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            self.findings.append(
                rules.INCOMPLETE.found(Place(path="."), f"It cannot be opened: {exc.strerror}", "root")
            )
            return
        try:
            yield from self._below(handle, "", 0)
        finally:
            os.close(handle)
        if self._is_full():
            what = f"It holds more than {_MOST_FILES} files or {_MOST_ENTRIES} names; the rest was not read"
            self.findings.append(rules.INCOMPLETE.found(Place(path="."), what, "many"))

    def _is_full(self) -> bool:
        return self._entries > _MOST_ENTRIES or self._found > _MOST_FILES

    def _below(self, handle: int, before: str, depth: int) -> Iterator[File]:
        folders = []
        for entry in self._entries_of(handle, before):
            path = before + entry.name
            self._entries += 1
            if self._is_full():
                return
            self._judge_name(entry.name, path)
            if entry.is_symlink():
                self._judge_link(handle, entry.name, path)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif (size := _size_of(entry)) is not None:
                self._found += 1
                yield File(path, size)
        for name in folders:
            yield from self._enter(handle, name, before + name, depth + 1)

    def _enter(self, handle: int, name: str, path: str, depth: int) -> Iterator[File]:
        if name in _SKIPPED:
            self.skipped.append(shown(path))
        elif depth > _DEEPEST:
            what = f"Its folders lie more than {_DEEPEST} deep in each other"
            self.findings.append(rules.INCOMPLETE.found(_place(path), what, "deep"))
        elif not self._is_full():
            try:
                inner = os.open(name, _FOLDER, dir_fd=handle)
            except OSError as exc:
                self.findings.append(
                    rules.UNREADABLE.found(_place(path), f"It cannot be opened: {exc.strerror}", "open")
                )
                return
            try:
                yield from self._below(inner, f"{path}/", depth)
            finally:
                os.close(inner)

    def _entries_of(self, handle: int, before: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(handle) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as exc:
            what = f"It cannot be listed: {exc.strerror}"
            self.findings.append(rules.UNREADABLE.found(_place(before.rstrip("/") or "."), what, "list"))
            return []

    def _judge_name(self, name: str, path: str) -> None:
        if any(not sign.isprintable() or sign in _REVERSING for sign in name):
            self.findings.append(rules.ODD_NAME.found(_place(path), f"It is called {ascii(name)[:120]}", ascii(path)))

    def _judge_link(self, handle: int, name: str, path: str) -> None:
        """Report a link that leads out of the workspace; where it leads is told, not what is there."""
        try:
            target = os.readlink(name, dir_fd=handle)
        except OSError:
            return
        root = self.root.resolve()
        try:
            is_inside = ((root / path).parent / target).resolve().is_relative_to(root)
        except (OSError, RuntimeError, ValueError):
            # Links that lead to each other without end.
            is_inside = False
        if not is_inside:
            self.findings.append(rules.LINK_OUT.found(_place(path), f"It leads to {clipped(target)}"))


def read_file(root: Path, path: str, most: int) -> bytes:
    """Read a file of at most `most` bytes, component by component, over no link. Raises OSError."""
    *folders, name = path.split("/")
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        with os.fdopen(os.open(name, _FILE, dir_fd=handle), "rb") as file:
            return file.read(most)
    finally:
        os.close(handle)


def shown(path: str) -> str:
    """Return a path as text: what is no UTF-8, or cannot be printed, stands as `\\xff`."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _place(path: str) -> Place:
    return Place(path=shown(path))


def _size_of(entry: os.DirEntry[str]) -> int | None:
    try:
        seen = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return seen.st_size if stat.S_ISREG(seen.st_mode) else None
