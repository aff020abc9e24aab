"""A project as an index lists it, whatever format it came in."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from studiolo.packages.names import canonical
from studiolo.packages.policy.decisions import Subject

_SDIST = (".tar.gz", ".zip")
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,399}", re.ASCII)


class File(NamedTuple):
    """One file of a project. `metadata`: whether the upstream has it beside the file, else its SHA-256.

    A named tuple, since a page has thousands. `uploaded_at`: as the upstream wrote it; `yanked`: the reason, perhaps
    empty, None for a file that is not yanked; `sha256`: hexadecimal.
    """

    name: str
    version: str
    url: str
    is_wheel: bool
    sha256: str | None
    requires_python: str | None
    yanked: str | None
    uploaded_at: str | None
    size: int | None
    metadata: bool | str

    def subject(self, project: str, channel: str) -> Subject:
        """Return what a policy judges."""
        return Subject(
            "pypi",
            project,
            version=self.version,
            file=self.name,
            channel=channel,
            uploaded_at=time_of(self.uploaded_at),
            is_wheel=self.is_wheel,
            sha256=self.sha256,
        )


@dataclass(frozen=True, slots=True)
class Project:
    """What an upstream has of a project. `name`: canonical; `digest`: of the page, hexadecimal.

    `status`: PEP 792, with its reason.
    """

    name: str
    channel: str
    files: tuple[File, ...]
    digest: str
    status: str | None = None
    status_reason: str | None = None

    def find(self, file: str) -> File | None:
        """Return the file of that name."""
        return next((one for one in self.files if one.name == file), None)


def split_file(name: str, project: str | None = None) -> tuple[str, str, bool] | None:
    """Return canonical project, version and whether it is a wheel; None for what is neither wheel nor sdist.

    With `project`, only a file of that one is found: an old sdist's name may be read in several ways. A wheel's
    version has `_` for `-`. Source: the specifications of both file names.
    """
    if not _SAFE.fullmatch(name):
        return None
    if name.endswith(".whl"):
        parts = name[:-4].split("-")
        if len(parts) not in (5, 6):
            return None
        found = parts[0], parts[1].replace("_", "-"), True
    else:
        stem = next((name[: -len(end)] for end in _SDIST if name.endswith(end)), None)
        if stem is None or (halves := _halves(stem, project)) is None:
            return None
        found = *halves, False
    owner = _owner(found[0])
    if owner is None:
        return None
    return None if project is not None and owner != project else (owner, found[1], found[2])


@lru_cache(maxsize=10_000)
def _owner(name: str) -> str | None:
    try:
        return canonical("pypi", name)
    except ValueError:
        return None


def time_of(text: str | None) -> datetime | None:
    """Return a time that an upstream wrote; None for none, for nonsense, and for one without its zone."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _halves(stem: str, project: str | None) -> tuple[str, str] | None:
    if project is None:
        name, dash, version = stem.rpartition("-")
        return (name, version) if dash and name else None
    at = stem.find("-")
    while at > 0:
        if re.sub(r"[-_.]+", "-", stem[:at]).lower() == project:
            return (stem[:at], stem[at + 1 :]) if stem[at + 1 :] else None
        at = stem.find("-", at + 1)
    return None
