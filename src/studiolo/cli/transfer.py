"""`cp`: files between this machine and a workspace, both ways, and within a workspace."""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from studiolo.cli.describing import unwritable
from studiolo.cli.file_places import FilePlace, find_place, is_folder
from studiolo.cli.invocation import connect, current
from studiolo.cli.output import emit, harmless, say
from studiolo.contract.errors import Conflict, InvalidInput, NotFound
from studiolo.contract.files import FileEntry, FileKind
from studiolo.contract.paths import from_wire, to_wire
from studiolo.contract.sizes import describe_size
from studiolo.sdk import Studiolo

Progress = Callable[[int], None]
_STDOUT = "-"
# Times travel to the millisecond, and some file systems keep them to two seconds.
_SAME_SECONDS = 2.0


class Transfer(NamedTuple):
    """One file on its way. `size` in bytes."""

    source: str
    target: str
    size: int


def cp(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files here, or WORKSPACE:path.", show_default=False)
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Where to: here, WORKSPACE:path, or - for stdout.")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders with all that is in them.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that are there.")] = False,
) -> None:
    """Copy files to a workspace, from one, or within one. No session is needed.

    What breaks off goes on there when you repeat the command; checksums are compared. To a folder, or a path with `/`
    at its end, a file is copied under its own name; several go into a folder.

    \b
    Examples:
      studiolo cp data.parquet churn:data/
      studiolo cp *.csv churn:data
      studiolo cp -r churn:notebooks ./backup
      studiolo cp churn:a.ipynb churn:b.ipynb
      studiolo cp churn:data.csv - | head
    """
    if target == _STDOUT and (place := find_place(sources[0])) and len(sources) == 1:
        with connect() as client:
            _print(client, place)
        return
    if len(sources) > 1:
        target = f"{target.rstrip('/')}/"
    done: list[Transfer] = []
    with connect() as client:
        for source in sources:
            done += _carry(client, source, target, recursive=recursive, force=force)
    size = sum(one.size for one in done)
    words = harmless(done[0].target) if len(done) == 1 else f"{len(done)} files"
    emit([one._asdict() for one in done], lambda: print(f"Copied {words}, {describe_size(size)}."))


def _carry(client: Studiolo, source: str, target: str, *, recursive: bool, force: bool) -> list[Transfer]:
    here, there = find_place(source), find_place(target)
    if here and there:
        return [_within(client, here, there, target, recursive=recursive)]
    if there:
        return _send(client, Path(source), there, target, recursive=recursive, force=force)
    if here:
        return _bring(client, here, target, recursive=recursive, force=force)
    raise InvalidInput(
        "usage-invalid",
        "Neither side is in a workspace.",
        hint=f"Write WORKSPACE:path, for example: {current().program} cp data.csv churn:data/",
    )


def _print(client: Studiolo, source: FilePlace) -> None:
    """Write a file to stdout once all of it has come and is right."""
    with tempfile.TemporaryDirectory() as folder:
        file = client.files.download(source.workspace, source.path, Path(folder) / "file")
        with file.open("rb") as content:
            shutil.copyfileobj(content, sys.stdout.buffer)


def _within(client: Studiolo, source: FilePlace, target: FilePlace, text: str, *, recursive: bool) -> Transfer:
    if source.workspace != target.workspace:
        raise InvalidInput(
            "usage-invalid",
            "Files are copied within one workspace, or to and from this machine.",
            hint="Copy them here first, then to the other workspace.",
        )
    entry = client.files.info(source.workspace, source.path)
    if entry.kind is FileKind.FOLDER and not recursive:
        raise _needs_recursive(str(source))
    if text.endswith("/") and target.path:
        with _there_already():
            client.files.mkdir(target.workspace, target.path)
    if is_folder(client, target):
        target = target.below(source.name)
    try:
        made = client.files.copy(source.workspace, source.path, target.path)
    except Conflict as exc:
        if exc.code != "file-exists":
            raise
        hint = f"Choose another name, or delete it first: {current().program} files rm {shlex.quote(str(target))}"
        raise _is_there(target, hint) from exc
    return Transfer(str(source), f"{target.workspace}:{made.path}", made.size or 0)


def _send(
    client: Studiolo, source: Path, target: FilePlace, text: str, *, recursive: bool, force: bool
) -> list[Transfer]:
    if not source.exists():
        raise NotFound("file-not-found", f"There is no {str(source)!r} on this machine.")
    if source.is_dir() and not recursive:
        raise _needs_recursive(str(source))
    if text.endswith("/") or is_folder(client, target):
        target = target.below(to_wire(source.resolve().name))
    waiting = list(_local_files(source, target)) if source.is_dir() else [(source, target)]
    for place in _empty_folders(source, target) if source.is_dir() else ():
        with _there_already():
            client.files.mkdir(place.workspace, place.path)
    done = []
    with showing_progress() as begin:
        for file, place in waiting:
            size = file.stat().st_size
            with begin(file.name, size) as progress, _readable(file):
                _upload(client, file, place, force=force, progress=progress)
            done.append(Transfer(str(file), str(place), size))
    return done


def _bring(client: Studiolo, source: FilePlace, target: str, *, recursive: bool, force: bool) -> list[Transfer]:
    entry = client.files.info(source.workspace, source.path)
    many = FileKind.FOLDER in (entry.kind, entry.leads_to)
    if many and not recursive:
        raise _needs_recursive(str(source))
    goal = Path(target)
    if goal.is_dir() or target.endswith("/"):
        goal = goal / (from_wire(source.name) or source.workspace.rpartition("/")[2])
    done = []
    with _writable(goal), showing_progress() as begin:
        waiting = list(_remote_files(client, source, goal)) if many else [(source, entry, goal)]
        for place, found, file in waiting:
            if not file.exists() or force:
                file.parent.mkdir(parents=True, exist_ok=True)
                with begin(file.name, found.size or 0) as progress:
                    client.files.download(place.workspace, place.path, file, progress=progress)
            elif not _is_same(file, found):
                raise Conflict("file-exists", f"{str(file)!r} is there already.", hint="Pass --force to overwrite it.")
            done.append(Transfer(str(place), str(file), file.stat().st_size))
    return done


def _upload(client: Studiolo, file: Path, place: FilePlace, *, force: bool, progress: Progress) -> None:
    """Send one file. One that is there already, of the same size and time, is an earlier try's."""
    try:
        client.files.upload(place.workspace, file, place.path, overwrite=force, progress=progress)
    except Conflict as exc:
        if exc.code != "file-exists":
            raise
        if not _is_same(file, client.files.info(place.workspace, place.path)):
            raise _is_there(place, "Pass --force to overwrite it.") from exc


def _is_same(file: Path, entry: FileEntry) -> bool:
    found = file.stat()
    if entry.kind is not FileKind.FILE or entry.modified_at is None or not file.is_file():
        return False
    return found.st_size == entry.size and abs(found.st_mtime - entry.modified_at.timestamp()) < _SAME_SECONDS


def _local_files(source: Path, target: FilePlace) -> Iterator[tuple[Path, FilePlace]]:
    """Yield the plain files below a folder of this machine; links in it are not followed, and told."""
    for folder, folders, names in os.walk(source):
        folders.sort()
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted((*names, *links)):
            file = Path(folder) / name
            if file.is_symlink() or not file.is_file():
                say(f"note: left out {file}: it is no plain file")
                continue
            yield file, _beneath(target, file.relative_to(source))


def _empty_folders(source: Path, target: FilePlace) -> Iterator[FilePlace]:
    """Yield the places of folders that no file brings along."""
    for folder, folders, names in os.walk(source):
        if not folders and not names:
            yield _beneath(target, Path(folder).relative_to(source))


def _beneath(place: FilePlace, path: Path) -> FilePlace:
    for part in path.parts:
        place = place.below(to_wire(part))
    return place


def _remote_files(client: Studiolo, source: FilePlace, target: Path) -> Iterator[tuple[FilePlace, FileEntry, Path]]:
    """Make the folders and yield the plain files below one of a workspace; links are not followed, and told."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in client.files.list(source.workspace, source.path, page_size=1000):
        place, file = source.below(entry.name), target / from_wire(entry.name)
        if entry.kind is FileKind.FOLDER:
            yield from _remote_files(client, place, file)
        elif entry.kind is FileKind.FILE:
            yield place, entry, file
        else:
            say(f"note: left out {place}: it is no plain file")


def _is_there(place: FilePlace, hint: str) -> Conflict:
    return Conflict("file-exists", f"{str(place)!r} is there already; nothing was changed.", hint=hint)


def _needs_recursive(shown: str) -> InvalidInput:
    return InvalidInput("usage-invalid", f"{shown!r} is a folder.", hint="Pass -r to copy it with all that is in it.")


@contextmanager
def _there_already() -> Iterator[None]:
    """Let it be good that a folder is there."""
    try:
        yield
    except Conflict as exc:
        if exc.code != "file-exists":
            raise


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise InvalidInput("usage-invalid", f"{str(file)!r} cannot be read: {exc.strerror}.") from exc


@contextmanager
def _writable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise unwritable(Path(exc.filename or file), exc) from exc


@contextmanager
def showing_progress() -> Iterator[Callable[[str, int], "_Shown"]]:
    """Show a bar for each file on a terminal; yields what begins one: (name, bytes) → context with its progress."""
    if not sys.stderr.isatty() or current().json:
        yield lambda name, size: _Shown(lambda done: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:

        def begin(name: str, size: int) -> _Shown:
            task = bars.add_task(harmless(name), total=size)
            return _Shown(lambda done: bars.update(task, completed=done), lambda: bars.remove_task(task))

        yield begin


class _Shown:
    """One file's bar: gives its progress, and goes when the file is done."""

    def __init__(self, progress: Progress, end: Callable[[], None] = lambda: None) -> None:
        self._progress = progress
        self._end = end

    def __enter__(self) -> Progress:
        return self._progress

    def __exit__(self, *_: object) -> None:
        self._end()
