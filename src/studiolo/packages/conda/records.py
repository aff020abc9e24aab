"""Records of a channel's repodata: what of them may pass, and what of a channel a policy leaves.

Built anew from what is known to be harmless, never passed on: channels may name other places (`base_url`, relations,
dependencies with a channel or an address) and hold groups that other tools read and we do not judge (`v3`).
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from studiolo.packages.policy.decisions import Decision, Subject, Verdict

Record = dict[str, Any]
Judge = Callable[[Subject], Decision]

# Which of a repodata's groups are read, and what the archives in them end with.
GROUPS = {"packages": ".tar.bz2", "packages.conda": ".conda"}
_FIELDS = {
    "arch", "build", "build_number", "constrains", "depends", "features", "indexed_timestamp", "license",
    "license_family", "md5", "name", "noarch", "platform", "python_site_packages_path", "sha256", "size", "subdir",
    "timestamp", "track_features", "version",
}  # fmt: skip
_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]*", re.ASCII)
_ARCHIVE = re.compile(
    r"(?P<name>[a-z0-9_][a-z0-9_.-]*)-(?P<version>[A-Za-z0-9_.!+]+)-(?P<build>[A-Za-z0-9_.+]+)(?P<ending>\.conda|\.tar\.bz2)",
    re.ASCII,
)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)
# What leads a dependency out of the channels that the person named: `channel::name`, an address, `name[url=…]`.
_ELSEWHERE = re.compile(r"::|://|\b(?:url|channel)\s*=")
_SOME_YEARS_AHEAD_SECONDS = 4102444800
# Some channels give seconds where milliseconds are meant; no build is from before 1980 in milliseconds of ours.
_SECONDS_BELOW = 10**11


@dataclass(frozen=True, slots=True)
class Archive:
    """What an archive's name says: `name-version-build` and its ending."""

    name: str
    version: str
    build: str
    file: str


def read_archive_name(file: str) -> Archive | None:
    """Return the parts of `numpy-2.1.0-py311_0.conda`; None for what is no archive's name."""
    found = _ARCHIVE.fullmatch(file)
    return Archive(found["name"], found["version"], found["build"], file) if found else None


def is_name(name: str) -> bool:
    """Tell whether it can be a package's name: lower-case ASCII letters, digits, `_`, `.` and `-`."""
    return _NAME.fullmatch(name) is not None


def read_records(repodata: object, subdir: str) -> Iterator[tuple[str, Record]]:
    """Yield the file name and the cleaned record of each archive that can be trusted to be what it says.

    Left out: a record whose name, version, build or folder is not its archive's, one without SHA-256, and one
    whose dependencies lead to another place. Source: CEP 15, CEP 16 and conda's repodata.json.
    """
    if not isinstance(repodata, Mapping):
        return
    for group, ending in GROUPS.items():
        records = repodata.get(group)
        if not isinstance(records, Mapping):
            continue
        for file, record in records.items():
            if isinstance(file, str) and file.endswith(ending) and isinstance(record, Mapping):
                cleaned = _clean(file, record, subdir)
                if cleaned is not None:
                    yield file, cleaned


def subject_of(file: str, record: Record, channel: str) -> Subject:
    """Return what is judged of an archive."""
    return Subject(
        ecosystem="conda",
        name=record["name"],
        version=record["version"],
        file=file,
        channel=channel,
        uploaded_at=_read_time(record),
        sha256=record["sha256"],
    )


def leave(records: Mapping[str, Record], channel: str, judge: Judge, *, tombstones: bool) -> dict[str, Record]:
    """Return the records that stay visible, by file name.

    With `tombstones` a refused project stays whole, so that solvers do not take an older version of what needs it: its
    archives answer 403. So does one of which every version is hidden in this folder.
    """
    projects: defaultdict[str, dict[str, Record]] = defaultdict(dict)
    for file, record in records.items():
        projects[record["name"]][file] = record
    left: dict[str, Record] = {}
    for name, files in projects.items():
        if judge(Subject("conda", name, channel=channel)).verdict is Verdict.REFUSE:
            seen = {}
        else:
            seen = {
                file: record
                for file, record in files.items()
                if judge(subject_of(file, record, channel)).verdict is not Verdict.HIDE
            }
        left |= seen or (files if tombstones else {})
    return left


def group_by_kind(records: Mapping[str, Record]) -> dict[str, dict[str, Record]]:
    """Return records as repodata holds them: by group, then by file name."""
    return {
        group: {file: record for file, record in records.items() if file.endswith(ending)}
        for group, ending in GROUPS.items()
    }


def _clean(file: str, record: Mapping[str, Any], subdir: str) -> Record | None:
    archive = read_archive_name(file)
    if archive is None or (record.get("name"), record.get("version"), record.get("build")) != (
        archive.name,
        archive.version,
        archive.build,
    ):
        return None
    if record.get("subdir", subdir) != subdir or not _is(_SHA256, record.get("sha256")):
        return None
    needs = [*_lines(record.get("depends")), *_lines(record.get("constrains"))]
    if any(not isinstance(need, str) or _ELSEWHERE.search(need) for need in needs):
        return None
    cleaned = {field: value for field, value in record.items() if field in _FIELDS}
    if not _is(_MD5, cleaned.get("md5")):
        cleaned.pop("md5", None)
    return cleaned | {"subdir": subdir}


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _lines(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value, None]


def _read_time(record: Record) -> datetime | None:
    """Return when the channel took the archive in, or else when it was built; None without either."""
    for field in ("indexed_timestamp", "timestamp"):
        value = record.get(field)
        if isinstance(value, int | float) and value > 0:
            seconds = value if value < _SECONDS_BELOW else value / 1000
            return datetime.fromtimestamp(seconds, UTC) if seconds < _SOME_YEARS_AHEAD_SECONDS else None
    return None
