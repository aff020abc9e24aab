"""What conda packages come to: py-rattler's solver over channels, for an environment as it is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rattler import (
    Channel,
    ChannelPriority,
    Gateway,
    PrefixRecord,
    RepoDataRecord,
    SourceConfig,
    Subdir,
    VirtualPackage,
    solve,
)

from studiolo.packages.names import key

# Of a machine without the package: what the solver is told beside the channels.
_PYTHON = "python"


@dataclass(frozen=True, slots=True)
class Found:
    """A package of a solution. `needs`: names; `uploaded_at`: ISO 8601; `sha256`: hexadecimal."""

    name: str
    version: str
    file: str
    channel: str
    sha256: str | None
    uploaded_at: str | None
    needs: list[str]


@dataclass(frozen=True, slots=True)
class SolveJob:
    """`channels`: names and addresses, the first that has a name owns it. `specs`, `limits`: in conda's words.

    `prefix`: the environment; its packages stay, in their versions where that is possible and they are not in
    `upgrade`. `python`: the minor version to stay with (`3.11`). `not_after`: ISO 8601. `cache`: for repodata.
    """

    channels: list[tuple[str, str]]
    specs: list[str]
    limits: list[str]
    prefix: str
    upgrade: list[str]
    python: str
    not_after: str | None
    cache: str


@dataclass(frozen=True, slots=True)
class SearchJob:
    """`channels`, `cache`: as of a SolveJob; `name`: of a package, however its separators are written."""

    channels: list[tuple[str, str]]
    name: str
    cache: str


async def search_job(job: SearchJob, *, uses_kept: bool) -> list[dict[str, Any]]:
    """Return the `Found` of all files of a package, newest version first. Raises what py-rattler does."""
    channels, gateway = [Channel(url) for _, url in job.channels], _gateway(job.cache, uses_kept=uses_kept)
    names = await gateway.names(channels, subdirs())
    wanted = [name.normalized for name in names if key(name.normalized) == key(job.name)]
    found = await gateway.query(channels, subdirs(), wanted, recursive=False, channel_relations="disabled")
    records = sorted((one for group in found for one in group), key=lambda one: one.version, reverse=True)
    places = dict(job.channels)
    return [asdict(_found(record, places)) for record in records]


def read_prefix(prefix: Path) -> list[PrefixRecord]:
    """Return the conda packages of a prefix; none if it is not one."""
    return [PrefixRecord.from_path(path) for path in sorted(prefix.glob("conda-meta/*.json"))]


def subdirs() -> list[Subdir]:
    """Return the folders of a channel that are for this machine."""
    return [Subdir.current(), Subdir("noarch")]


async def solve_job(job: SolveJob, *, uses_kept: bool) -> list[dict[str, Any]]:
    """Return the `Found` of a solution. Raises what py-rattler does."""
    channels, gateway = [Channel(url) for _, url in job.channels], _gateway(job.cache, uses_kept=uses_kept)
    upgrade = set(map(key, job.upgrade))
    there = [record for record in read_prefix(Path(job.prefix)) if key(record.name.normalized) not in upgrade]
    names = {key(name.normalized): name.normalized for name in await gateway.names(channels, subdirs())}
    asked = [_in_channels(spec, names) for spec in job.specs]
    stay = [record.name.normalized for record in read_prefix(Path(job.prefix))]
    solution = await solve(
        channels,
        [*asked, *(name for name in stay if name not in {spec.split(" ")[0] for spec in asked})],
        gateway=gateway,
        platforms=subdirs(),
        locked_packages=there,
        virtual_packages=VirtualPackage.detect(),
        channel_priority=ChannelPriority.Strict,
        exclude_newer=datetime.fromisoformat(job.not_after) if job.not_after else None,
        constraints=[f"{_PYTHON} {job.python}.*", *(_in_channels(spec, names) for spec in job.limits)],
        channel_relations="disabled",
    )
    places = dict(job.channels)
    return [asdict(_found(record, places)) for record in solution]


def _gateway(cache: str, *, uses_kept: bool) -> Gateway:
    config = SourceConfig(cache_action="cache-or-fetch" if uses_kept else "no-cache")
    return Gateway(cache_dir=Path(cache), default_config=config)


def _in_channels(spec: str, names: Mapping[str, str]) -> str:
    """Return a spec with its name as the channels write it: `typing-extensions` may be `typing_extensions` there."""
    name, _, rest = spec.partition(" ")
    written = name if name in names.values() else names.get(key(name), name)
    return f"{written} {rest}".strip()


def _found(record: RepoDataRecord, places: Mapping[str, str]) -> Found:
    at = record.indexed_timestamp or record.timestamp
    return Found(
        name=record.name.normalized,
        version=str(record.version),
        file=record.file_name,
        channel=channel_of(record.url, places),
        sha256=record.sha256.hex() if record.sha256 else None,
        uploaded_at=at.isoformat() if at else None,
        needs=sorted({need.split(" ")[0] for need in record.depends if not need.startswith("__")}),
    )


def channel_of(url: str, places: Mapping[str, str]) -> str:
    """Return the name of the channel that an archive's address lies in; in our index's addresses it stands itself."""
    for name, place in places.items():
        if url.startswith(f"{place.rstrip('/')}/"):
            return name
    parts = url.split("/")
    return parts[-3] if len(parts) > 3 else ""
