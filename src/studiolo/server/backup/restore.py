"""Bring a backup back, into a folder of its own: verified, whole or not at all. Blocking."""

import errno
import os
import shutil
from pathlib import Path

from studiolo.contract.errors import Conflict, Unavailable
from studiolo.contract.sizes import describe_size
from studiolo.kit.copying import fill
from studiolo.server.backup import format as form
from studiolo.server.backup.database import restore_postgresql
from studiolo.server.backup.format import Entry, Manifest
from studiolo.server.schema import HEAD, is_empty, newer, plain_url
from studiolo.server.settings import Settings

_PART = ".restoring"


def restore(source: Path, settings: Settings) -> Manifest:
    """Restore a backup into the data directory of `settings`, which must not be there yet, or be empty.

    Each file is compared with the SHA-256 that was written when it was copied. With PostgreSQL the database of
    `settings` must be empty. Raises NotFound (`backup-not-found`), InvalidInput (`backup-damaged`), Conflict
    (`schema-newer`, `restore-not-empty`), Unavailable (`disk-full`, `backup-failed`, …).
    """
    manifest = form.read_manifest(source)
    if manifest.schema_version > HEAD:
        raise newer(manifest.schema_version)
    _check_target(manifest, settings)
    target = settings.data_dir
    part = target.with_name(target.name + _PART)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_space(manifest, target)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        _copy_all(source, manifest, part)
        if manifest.database.name == form.POSTGRESQL:
            restore_postgresql(plain_url(settings), source / form.DATABASE / form.POSTGRESQL)
        # None of the sessions in the database is there. Without their folder they would count as out of reach, and who
        # opens their workspaces would wait for them.
        (part / "sessions").mkdir(mode=0o711)
        os.sync()
        part.rename(target)
    except OSError as exc:
        raise _failed(exc) from exc
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def _check_target(manifest: Manifest, settings: Settings) -> None:
    target = settings.data_dir
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise Conflict(
            "restore-not-empty",
            f"{target} holds something already; a backup is restored into a new folder only.",
            hint="Name a folder that does not exist: --data-dir. Then start the platform on it.",
        )
    if manifest.database.name != form.POSTGRESQL:
        if settings.database_url is not None and not settings.database_url.startswith("sqlite"):
            raise Conflict(
                "restore-not-empty",
                "The backup holds a SQLite database, and the settings name a PostgreSQL one.",
                hint="Unset STUDIOLO_DATABASE_URL.",
            )
    elif settings.database_url is None or not is_empty(settings):
        raise Conflict(
            "restore-not-empty",
            "The backup holds a PostgreSQL database, and there is no empty one to put it into.",
            hint="Make an empty database and name it: STUDIOLO_DATABASE_URL.",
        )


def _check_space(manifest: Manifest, target: Path) -> None:
    free = shutil.disk_usage(target.parent).free
    if manifest.size_bytes > free:
        raise Unavailable(
            "disk-full",
            f"The backup has {describe_size(manifest.size_bytes)} and {describe_size(free)} of the disk are free.",
            hint="Free space, or restore to another disk.",
        )


def _copy_all(source: Path, manifest: Manifest, part: Path) -> None:
    if form.hash_file(source / form.INDEX) != manifest.index_sha256:
        raise form.damaged(source, form.INDEX)
    folders = []
    for entry in form.read_index(source):
        if not _is_inside(entry.path):
            raise form.damaged(source, entry.path)
        target = part / entry.path
        if entry.path.startswith("front-door/"):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if entry.kind == "folder":
            target.mkdir(mode=0o700)
            folders.append(entry)
        elif entry.kind == "link":
            target.symlink_to(entry.target)
        else:
            _copy_file(source, entry, target)
    if manifest.database.name == form.SQLITE:
        database = part / form.SQLITE
        _copy(source / form.DATABASE / form.SQLITE, database)
        database.chmod(0o600)
        if form.hash_file(database) != manifest.database.sha256:
            raise form.damaged(source, form.SQLITE)
    for folder in reversed(folders):
        path = part / folder.path
        path.chmod(folder.mode)
        os.utime(path, ns=(folder.modified_ns, folder.modified_ns))


def _copy_file(source: Path, entry: Entry, target: Path) -> None:
    try:
        _copy(source / form.DATA / entry.path, target)
    except FileNotFoundError as exc:
        raise form.damaged(source, entry.path) from exc
    if form.hash_file(target) != entry.sha256:
        raise form.damaged(source, entry.path)
    target.chmod(entry.mode & 0o1777)
    os.utime(target, ns=(entry.modified_ns, entry.modified_ns))


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as original, target.open("xb") as copy:
        fill(original.fileno(), copy.fileno())


def _is_inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in path.split("/")


def _failed(exc: OSError) -> Unavailable:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable("disk-full", "The disk is full; nothing was restored.", hint="Free space, then repeat.")
    where = f" ({exc.filename})" if exc.filename else ""
    hint = "Name a folder within it, if the data directory is a disk of its own." if exc.errno == errno.EBUSY else None
    return Unavailable("backup-failed", f"Nothing was restored: {exc.strerror}{where}.", hint=hint, detail=repr(exc))
