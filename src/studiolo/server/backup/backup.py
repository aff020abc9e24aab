"""Make a backup while the platform runs: complete, or none at all. Blocking; see `process` for who calls it how."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, text

from studiolo import __version__
from studiolo.contract.errors import Conflict, InvalidInput, Unavailable
from studiolo.contract.sizes import describe_size
from studiolo.kit.files import write_atomically
from studiolo.kit.lock import FileLock, Held
from studiolo.server.backup import format as form
from studiolo.server.backup.copying import copy_settled
from studiolo.server.backup.database import copy_sqlite, dump_postgresql
from studiolo.server.backup.format import Copied, Entry, LeftOut, Manifest
from studiolo.server.backup.tree import Met, walk
from studiolo.server.schema import HEAD, plain_url
from studiolo.server.settings import Settings
from studiolo.server.workspaces.packages import list_packages

# Left on the disk for everybody else.
_RESERVE_BYTES = 256 * 1024**2
_MOST_NAMED = 1000
_PART = ".part"
# They concern the copy, not the file that is read.
_FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
Tell = Callable[[int, int], None]


@dataclass
class _Making:
    """A backup in the making, in the folder `part`. `earlier`: the one before it, with which it shares files."""

    data_dir: Path
    part: Path
    earlier: Path | None
    tell: Tell
    counts: dict[str, int] = field(default_factory=lambda: {"file": 0, "folder": 0, "link": 0})
    size_bytes: int = 0
    copied_bytes: int = 0
    total_bytes: int = 0
    left_out: list[LeftOut] = field(default_factory=list)

    def fail(self, path: str, why: OSError | str) -> None:
        """Note what is left out."""
        if isinstance(why, OSError):
            if why.errno in _FATAL:
                raise why
            why = why.strerror or str(why)
        if len(self.left_out) < _MOST_NAMED:
            self.left_out.append(LeftOut(path=path, why=why))


def backup_folder(settings: Settings) -> Path:
    """Return where backups lie when nothing else is said."""
    return settings.backup.folder or settings.data_dir / "backups"


def make_backup(settings: Settings, folder: Path, tell: Tell = lambda done, total: None) -> Path:
    """Make a backup in `folder` and return where it lies. `tell` is given bytes done and to be done.

    Killed or cancelled (any exception) it leaves nothing that could be taken for one.
    Raises Conflict (`backup-running`), InvalidInput (`folder-not-allowed`), Unavailable (`disk-full`, …).
    """
    _check_place(settings, folder)
    began = datetime.now(UTC)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder / ".lock", {"pid": os.getpid()}):
            remove_incomplete(folder)
            return _make(settings, folder, began, tell)
    except Held as exc:
        raise Conflict(
            "backup-running", f"A backup is being made in {folder} already.", hint="Wait for it, or cancel it first."
        ) from exc
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space("The disk is full") from exc
        where = f" ({exc.filename})" if exc.filename else ""
        raise Unavailable(
            "backup-failed", f"The backup could not be written: {exc.strerror or exc}{where}.", detail=repr(exc)
        ) from exc


def remove_old(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` backups of a folder. What they share with others stays there."""
    for old in form.list_backups(folder)[keep:]:
        # First: what is half removed must not be taken for a backup.
        (old / form.MANIFEST).unlink()
        shutil.rmtree(old)


def remove_incomplete(folder: Path) -> None:
    """Remove what killed backups and removals left. Call it with the folder's lock held."""
    for path in folder.glob(f"{form.PREFIX}*"):
        if path.is_dir() and not path.is_symlink() and not (path / form.MANIFEST).exists():
            shutil.rmtree(path)


def _make(settings: Settings, folder: Path, began: datetime, tell: Tell) -> Path:
    stamp = f"{form.PREFIX}{began:%Y%m%dT%H%M%SZ}"
    final = next(p for n in ("", *(f"-{i}" for i in range(2, 1000))) if not (p := folder / f"{stamp}{n}").exists())
    part = final.with_name(final.name + _PART)
    earlier = next(iter(form.list_backups(folder)), None)
    making = _Making(settings.data_dir, part, earlier, tell)
    try:
        part.mkdir(mode=0o700)
        _foresee(making, settings)
        # First: a workspace made meanwhile has files without a row, which harms nobody; the reverse would.
        database = _copy_database(settings, part / form.DATABASE)
        (part / form.DATA).mkdir(mode=0o700)
        _copy_files(making)
        manifest = _describe(making, settings, database, began)
        write_atomically(part / form.MANIFEST, manifest.model_dump_json(indent=2))
        os.sync()
        part.rename(final)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return final


def _check_place(settings: Settings, folder: Path) -> None:
    """Refuse places that the backup would itself hold."""
    place, data_dir = folder.resolve(), settings.data_dir.resolve()
    for inside in ("workspaces", "people", "secrets", "front-door", "discarded"):
        if place.is_relative_to(data_dir / inside):
            raise InvalidInput(
                "folder-not-allowed",
                f"A backup cannot lie in {data_dir / inside}, which it would hold.",
                hint="Name another folder, best on another disk.",
            )


def _foresee(making: _Making, settings: Settings) -> None:
    """Raise Unavailable (`disk-full`) before anything is copied, if it would not fit."""
    needed = _size_of_database(settings)
    for met, known in _beside(making, lambda path, why: None):
        if stat.S_ISREG(met.stat.st_mode) and not _is_unchanged(met, known):
            needed += min(met.stat.st_size, met.stat.st_blocks * 512)
    making.total_bytes = needed
    free = shutil.disk_usage(making.part).free
    if needed + _RESERVE_BYTES > free:
        raise _no_space(f"The backup needs {describe_size(needed)} and {describe_size(free)} of the disk are free")


def _size_of_database(settings: Settings) -> int:
    path = settings.data_dir / form.SQLITE
    return path.stat().st_size if settings.database_url is None and path.exists() else 0


def _copy_database(settings: Settings, folder: Path) -> Copied:
    folder.mkdir(mode=0o700)
    if settings.database_url is None or settings.database_url.startswith("sqlite"):
        source = Path(plain_url(settings).removeprefix("sqlite:///"))
        copy = folder / form.SQLITE
        copy.touch(0o600)
        copy_sqlite(source, copy)
    else:
        copy = folder / form.POSTGRESQL
        dump_postgresql(plain_url(settings), copy)
    return Copied(name=copy.name, size=copy.stat().st_size, sha256=form.hash_file(copy))


def _copy_files(making: _Making) -> None:
    data = making.part / form.DATA
    folders: list[Entry] = []
    with (making.part / form.INDEX).open("wb") as index:
        for met, known in _beside(making, making.fail):
            try:
                entry = _copy_one(making, met, known, data)
            except FileNotFoundError:
                # It was removed meanwhile.
                continue
            except OSError as exc:
                making.fail(met.path, exc)
                continue
            if entry is not None:
                index.write(form.write_entry(entry))
                making.counts[entry.kind] += 1
                making.size_bytes += entry.size
                if entry.kind == "folder":
                    folders.append(entry)
        index.flush()
        os.fsync(index.fileno())
    # Last and from within: what is written into a folder changes its time, and some may not be written.
    for folder in reversed(folders):
        path = data / folder.path
        path.chmod(folder.mode | stat.S_IRWXU)
        os.utime(path, ns=(folder.modified_ns, folder.modified_ns))


def _copy_one(making: _Making, met: Met, known: Entry | None, data: Path) -> Entry | None:
    mode, target = stat.S_IMODE(met.stat.st_mode), data / met.path
    if met.path.count("/") == 1 and met.path.startswith("front-door"):
        target.parent.mkdir(mode=0o700, exist_ok=True)
    if stat.S_ISDIR(met.stat.st_mode):
        target.mkdir(mode=0o700)
        return Entry(met.path, "folder", mode, met.stat.st_mtime_ns)
    if stat.S_ISLNK(met.stat.st_mode):
        leads = os.readlink(met.name, dir_fd=met.handle)
        target.symlink_to(leads)
        return Entry(met.path, "link", mode, met.stat.st_mtime_ns, target=leads)
    if not stat.S_ISREG(met.stat.st_mode):
        return None
    if known is not None and _is_unchanged(met, known) and _share(making, known, target):
        return known
    copied = copy_settled(met.handle, met.name, str(target))
    if copied is None:
        return None
    seen, digest, is_whole = copied
    if not is_whole:
        making.fail(met.path, "it was written to all the time; the copy may hold a part of a change")
    making.copied_bytes += seen.st_size
    making.tell(making.copied_bytes, making.total_bytes)
    # One that never kept still is no base for the next backup.
    inode = seen.st_ino if is_whole else 0
    return Entry(
        met.path,
        "file",
        stat.S_IMODE(seen.st_mode),
        seen.st_mtime_ns,
        seen.st_size,
        digest,
        "",
        inode,
        seen.st_ctime_ns,
    )


def _beside(making: _Making, fail: Callable[[str, OSError | str], None]) -> Iterator[tuple[Met, Entry | None]]:
    """Yield all that is met with what the earlier backup knows of the same path: both are in the same order."""
    entries = form.read_index(making.earlier) if making.earlier else iter(())
    known = next(entries, None)
    for met in walk(making.data_dir, fail):
        here = form.order(met.path)
        while known is not None and form.order(known.path) < here:
            known = next(entries, None)
        yield met, known if known is not None and known.path == met.path else None


def _is_unchanged(met: Met, known: Entry | None) -> bool:
    """Tell whether a file is as it was: nobody can change one and leave size, number and both times as they were."""
    seen = met.stat
    return known is not None and (known.kind, known.size, known.modified_ns, known.changed_ns, known.inode) == (
        "file",
        seen.st_size,
        seen.st_mtime_ns,
        seen.st_ctime_ns,
        seen.st_ino,
    )


def _share(making: _Making, known: Entry, target: Path) -> bool:
    """Have the earlier backup's copy under a second name; False where the file system cannot."""
    assert making.earlier is not None
    try:
        target.hardlink_to(making.earlier / form.DATA / known.path)
    except OSError:
        return False
    return True


def _describe(making: _Making, settings: Settings, database: Copied, began: datetime) -> Manifest:
    people, workspaces, outside = _count(settings)
    return Manifest(
        version=__version__,
        schema_version=HEAD,
        began_at=began,
        ended_at=datetime.now(UTC),
        database=database,
        index_sha256=form.hash_file(making.part / form.INDEX),
        files=making.counts["file"],
        folders=making.counts["folder"],
        links=making.counts["link"],
        size_bytes=making.size_bytes + database.size,
        copied_bytes=making.copied_bytes + database.size,
        people=people,
        workspaces=workspaces,
        outside=outside,
        packages=_packages(settings),
        left_out=making.left_out,
    )


def _count(settings: Settings) -> tuple[int, int, dict[str, str]]:
    """Return how many people and workspaces there are, and those whose files lie outside."""
    engine = create_engine(plain_url(settings))
    try:
        with engine.connect() as connection:
            people = connection.execute(text("SELECT count(*) FROM people")).scalar_one()
            live = "FROM workspaces w JOIN people p ON p.id = w.owner_id WHERE w.deleted_at IS NULL"
            workspaces = connection.execute(text(f"SELECT count(*) {live}")).scalar_one()
            rows = connection.execute(text(f"SELECT p.name, w.name, w.root {live} AND w.root IS NOT NULL"))
            return people, workspaces, {f"{owner}/{name}": root for owner, name, root in rows}
    finally:
        engine.dispose()


def _packages(settings: Settings) -> dict[str, list[str]]:
    found = {}
    for environment in sorted((settings.data_dir / "environments").glob("w-*")):
        own = [f"{p['name']}=={p['version']}" for p in list_packages(environment) if not p["base"]]
        if own:
            found[environment.name] = own
    return found


def _no_space(what: str) -> Unavailable:
    return Unavailable(
        "disk-full",
        f"{what}; no backup was made.",
        hint="Free space, or name a folder on another disk (backup.folder).",
    )
