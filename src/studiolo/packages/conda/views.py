"""What is kept of a channel's folder as one policy leaves it: files to send, shards, and records by archive."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgpack
from backports import zstd

from studiolo.packages.conda.records import Record, group_by_kind, read_archive_name

# The files of a view's folder.
REPODATA = "repodata.json.zst"
SHARDS_INDEX = "repodata_shards.msgpack.zst"
SHARDS = "shards"
# {name: (sha256, offset, length)}: where a project's shard is in `SHARDS`.
PLACES = "places.msgpack"


@dataclass(frozen=True)
class View:
    """One folder; nothing in it changes. `key` is its ETag: of the upstream's file, the policy and the day."""

    folder: Path
    key: str

    @property
    def repodata(self) -> Path:
        """The file `repodata.json.zst`."""
        return self.folder / REPODATA

    @property
    def shards_index(self) -> Path:
        """The file `repodata_shards.msgpack.zst`."""
        return self.folder / SHARDS_INDEX

    def read_shard(self, digest: str) -> bytes | None:
        """Return the shard with this SHA-256 (hexadecimal); None if this view has none such. Blocking, short."""
        place = self._by_digest.get(digest)
        return None if place is None else self._read(*place)

    def find_record(self, file: str) -> Record | None:
        """Return the record of an archive that is visible here, with SHA-256 in hexadecimal. Blocking, short."""
        archive = read_archive_name(file)
        place = self._places.get(archive.name) if archive else None
        if place is None:
            return None
        shard = msgpack.unpackb(zstd.decompress(self._read(*place[1:])))
        for group in group_by_kind({}):
            if (record := shard[group].get(file)) is not None:
                return {**record, "sha256": record["sha256"].hex()}
        return None

    @cached_property
    def _places(self) -> dict[str, tuple[str, int, int]]:
        places: dict[str, tuple[str, int, int]] = msgpack.unpackb((self.folder / PLACES).read_bytes(), use_list=False)
        return places

    @cached_property
    def _by_digest(self) -> dict[str, tuple[int, int]]:
        return {digest: (offset, length) for digest, offset, length in self._places.values()}

    def _read(self, offset: int, length: int) -> bytes:
        with (self.folder / SHARDS).open("rb") as file:
            file.seek(offset)
            return file.read(length)
