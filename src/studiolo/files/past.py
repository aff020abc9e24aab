"""What files of a workspace were: found, read, brought back. Blocking; paths are those of the wire."""

import os
from pathlib import Path

from studiolo.contract.errors import NotFound
from studiolo.files.names import parts_of, to_wire
from studiolo.files.refusals import told
from studiolo.files.root import Found, Root
from studiolo.runtime.history.objects import digest
from studiolo.runtime.history.saving import save
from studiolo.runtime.history.versions import MOST_BYTES, Version, Versions

NOW = "now"


def list_versions(folder: Path, path: str) -> tuple[list[Version], str | None]:
    """Return a file's versions, newest first, and the digest of what it holds now; None: it is gone, or too long.

    Raises errors of Root.
    """
    real, content = _look(folder, path)
    return Versions(folder).list_(real), None if content is None else digest(content)


def read_content(folder: Path, path: str, which: str) -> bytes:
    """Return what a file holds `now`, or held in the version of that id.

    Raises NotFound (`version-not-found`, `file-not-found`), errors of Root.
    """
    real, content = _look(folder, path)
    if which == NOW:
        if content is None:
            raise NotFound("file-not-found", f"There is no {path[:300]!r} now, or it is too long to be read at once.")
        return content
    versions = Versions(folder)
    version = versions.find(real, which)
    if version is not None:
        try:
            return versions.read(version)
        except FileNotFoundError:
            # Somebody removed it in a terminal.
            pass
    raise NotFound(
        "version-not-found",
        f"There is no such version of {path[:300]!r}.",
        hint="It may be older than versions are kept. The list of its versions shows what there is.",
    )


def restore_version(folder: Path, path: str, version_id: str, *, by: str) -> Version:
    """Have a file be what a version holds; what it holds now is kept first. Returns the version that this makes.

    Raises NotFound (`version-not-found`), errors of Root.
    """
    content = read_content(folder, path, version_id)
    real, _ = _look(folder, path)
    versions = Versions(folder)
    with Root(folder) as root, root.place(to_wire(real), make_folders=True) as place, told(place.path):
        save(versions, place.folder, place.name, place.path, content, knows=None, by=by, how="restore")
        return versions.keep(place.path, content, by=by, how="restore")


def _look(folder: Path, path: str) -> tuple[str, bytes | None]:
    """Return the path under which a file's versions are kept, its links followed, and what it holds now."""
    with Root(folder) as root:
        try:
            with root.open_file(path) as found:
                return "/".join(found.parts), _read(found)
        except NotFound:
            return "/".join(parts_of(path)), None


def _read(found: Found) -> bytes | None:
    if found.stat.st_size > MOST_BYTES:
        return None
    with os.fdopen(os.dup(found.handle), "rb") as file:
        return file.read(MOST_BYTES)
