"""A channel's folder as a policy leaves it, made in a process: `python -m studiolo.packages.conda.filtering`.

Reading the repodata of a large channel takes seconds of a processor and a gigabyte; in the host it would stop
everybody. The job comes as JSON on stdin, the result is a folder that `views.View` reads.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
from backports import zstd

from studiolo.packages.conda.records import Record, group_by_kind, leave, read_records
from studiolo.packages.conda.views import PLACES, REPODATA, SHARDS, SHARDS_INDEX
from studiolo.packages.policy.decide import decide
from studiolo.packages.policy.effective import Policy

# The largest public folder has a quarter of it; more than this is a trap.
_MOST_BYTES = 2 << 30
_LEVEL = 3
_SHARD_FOLDER = "./shards/"
UNREADABLE = 65


@dataclass(frozen=True, slots=True)
class Job:
    """`upstream`: repodata.json, plain or zstd; `target`: an empty folder; `now`: ISO 8601; `policy`: its JSON."""

    upstream: str
    target: str
    channel: str
    subdir: str
    policy: str
    now: str

    def to_json(self) -> bytes:
        """Return it as the process reads it."""
        return json.dumps(asdict(self)).encode()


def main() -> int:
    """Do the job that stdin holds. Returns 65 when the upstream's file cannot be read."""
    job = Job(**json.load(sys.stdin))
    try:
        records = dict(read_records(_load(Path(job.upstream)), job.subdir))
    except (ValueError, RecursionError, zstd.ZstdError) as exc:
        sys.stderr.write(f"{type(exc).__name__}: {exc}\n")
        return UNREADABLE
    policy = Policy.from_json(job.policy)
    judge = partial(decide, policy, now=datetime.fromisoformat(job.now))
    left = leave(records, job.channel, judge, tombstones=policy.on_blocked_dependency == "fail")
    _write(Path(job.target), job.subdir, left)
    return 0


def _load(path: Path) -> object:
    with path.open("rb") as file:
        packed = file.read(4) == b"\x28\xb5\x2f\xfd"
        file.seek(0)
        raw = zstd.ZstdFile(file).read(_MOST_BYTES + 1) if packed else file.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES} bytes")
    return json.loads(raw)


def _write(target: Path, subdir: str, records: Mapping[str, Record]) -> None:
    repodata = {"info": {"subdir": subdir}, **group_by_kind(records), "repodata_version": 1}
    (target / REPODATA).write_bytes(zstd.compress(json.dumps(repodata).encode(), _LEVEL))
    places: dict[str, tuple[str, int, int]] = {}
    with (target / SHARDS).open("wb") as file:
        for name, shard in _shards(records):
            places[name] = (hashlib.sha256(shard).hexdigest(), file.tell(), len(shard))
            file.write(shard)
    (target / PLACES).write_bytes(msgpack.packb(places))
    index = {
        "version": 1,
        "info": {"subdir": subdir, "base_url": "", "shards_base_url": _SHARD_FOLDER},
        "shards": {name: bytes.fromhex(digest) for name, (digest, _, _) in places.items()},
    }
    (target / SHARDS_INDEX).write_bytes(zstd.compress(msgpack.packb(index), _LEVEL))


def _shards(records: Mapping[str, Record]) -> Iterator[tuple[str, bytes]]:
    """Yield name and shard of each project, in the order of names. Source: CEP 16; hashes are raw bytes in it."""
    projects: dict[str, dict[str, Record]] = {}
    for file, record in records.items():
        projects.setdefault(record["name"], {})[file] = {**record, **_raw_hashes(record)}
    for name in sorted(projects):
        shard = {**group_by_kind(projects[name]), "removed": []}
        yield name, zstd.compress(msgpack.packb(shard), _LEVEL)


def _raw_hashes(record: Record) -> dict[str, Any]:
    return {field: bytes.fromhex(record[field]) for field in ("sha256", "md5") if field in record}


if __name__ == "__main__":
    sys.exit(main())
