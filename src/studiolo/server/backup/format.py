"""What a backup is on disk, and how it is read and written.

    studiolo-20261121T031000Z/
      manifest.json   Manifest; written last: a folder without it is no backup
      index.jsonl     a line for each folder, file and link below data/ (Entry), in the order of `order`
      data/           as in the data directory: secrets, people, workspaces, …
      database/       studiolo.db (SQLite), or postgresql.dump (pg_dump, custom format)

Plain files on purpose: with no Studiolo at hand, `cp` restores them. Nothing is encrypted.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from studiolo.contract.backups import Backup
from studiolo.contract.errors import InvalidInput, NotFound

MANIFEST, INDEX, DATA, DATABASE = "manifest.json", "index.jsonl", "data", "database"
SQLITE, POSTGRESQL = "studiolo.db", "postgresql.dump"
PREFIX = "studiolo-"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing below data/. `sha256` of files, `target` of links; `inode` and `changed_ns` are the original's."""

    path: str
    kind: Literal["file", "folder", "link"]
    mode: int
    modified_ns: int
    size: int = 0
    sha256: str = ""
    target: str = ""
    inode: int = 0
    changed_ns: int = 0


class LeftOut(BaseModel):
    """Something that could not be copied."""

    path: str
    why: str


class Copied(BaseModel):
    """The copy of the database. `name`: in database/."""

    name: str
    size: int
    sha256: str


class Manifest(BaseModel):
    """What a backup holds. `outside`: workspaces in folders of the machine, which are not copied."""

    format: Literal["studiolo-backup/1"] = "studiolo-backup/1"
    version: str
    schema_version: str
    began_at: datetime
    ended_at: datetime
    database: Copied
    index_sha256: str
    files: int
    folders: int
    links: int
    size_bytes: int
    copied_bytes: int
    people: int
    workspaces: int
    outside: dict[str, str] = Field(description="Name of each workspace that lies outside, and its folder.")
    packages: dict[str, list[str]] = Field(description="What people installed, by id of the workspace.")
    left_out: list[LeftOut]


def read_manifest(folder: Path) -> Manifest:
    """Read what a backup says of itself. Raises NotFound (`backup-not-found`), InvalidInput (`backup-damaged`)."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError as exc:
        raise NotFound(
            "backup-not-found",
            f"There is no complete backup in {folder}.",
            hint="Name the folder of one, studiolo-…; `studiolo backups` lists them. One that broke off is none.",
        ) from exc
    except (OSError, ValidationError) as exc:
        raise InvalidInput("backup-damaged", f"The manifest of {folder} cannot be read.", detail=str(exc)) from exc


def list_backups(folder: Path) -> list[Path]:
    """Return the complete backups in a folder, newest first."""
    if not folder.is_dir():
        return []
    found = [path.parent for path in folder.glob(f"{PREFIX}*/{MANIFEST}")]
    return sorted(found, key=lambda path: path.name, reverse=True)


def wire(folder: Path, manifest: Manifest) -> Backup:
    """Return a backup as people see it."""
    told = manifest.model_dump(include=set(Backup.model_fields) - {"left_out"})
    return Backup(name=folder.name, folder=str(folder), left_out=len(manifest.left_out), **told)


def order(path: str) -> tuple[str, ...]:
    """Return the key by which entries are sorted: a folder is followed by all that is in it."""
    return tuple(path.split("/"))


def write_entry(entry: Entry) -> bytes:
    """Return an entry as a line. Bytes of names that are no text travel as escaped surrogates."""
    return json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n"


def read_index(folder: Path) -> Iterator[Entry]:
    """Yield a backup's entries. Raises InvalidInput (`backup-damaged`)."""
    with (folder / INDEX).open("rb") as lines:
        for line in lines:
            try:
                yield Entry(**json.loads(line))
            except (ValueError, TypeError) as exc:
                raise damaged(folder, INDEX) from exc


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file (hex)."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def damaged(folder: Path, what: str) -> InvalidInput:
    """The error for a backup that is not as it was made."""
    return InvalidInput(
        "backup-damaged",
        f"The backup {folder.name} is damaged: {what[:200]!r} is not as it was written.",
        hint="Nothing was restored. Use another backup; its files can also be copied by hand.",
    )
