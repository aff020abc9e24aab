"""Whether the files of an environment are still those that its RECORD files describe."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from studiolo.packages.installed import records
from studiolo.packages.installed.handles import opened, opened_below, opened_file, read_file
from studiolo.packages.installed.snapshots import Distribution, Snapshot, shown

_HASHES = frozenset({"sha256", "sha384", "sha512"})


@dataclass(frozen=True, slots=True)
class Modified:
    """A file that is not what its distribution's RECORD says. `path`: relative to the environment."""

    distribution: Distribution
    path: str
    how: Literal["changed", "missing"]


def find_modified(prefix: Path, snapshot: Snapshot) -> Iterator[Modified]:
    """Hash every file that the distributions of `snapshot` name, one by one; blocking, about a second for 400 MB.

    Files outside site-packages (scripts) are left out: installers write each their own. So is what has no digest.
    """
    with opened(prefix) as top:
        for distribution in snapshot.distributions:
            if distribution.fingerprint is not None:
                yield from _of_distribution(top, distribution)


def _of_distribution(top: int, distribution: Distribution) -> Iterator[Modified]:
    *site, info = distribution.folder.split("/")
    try:
        with opened_below(top, tuple(site)) as folder:
            with opened(info, folder) as inside:
                rows = records.parse(read_file("RECORD", inside, records.MOST_BYTES))
            for row in rows:
                if row.digest and records.stays_below(row.path):
                    how = _judge(folder, row)
                    if how is not None:
                        yield Modified(distribution, shown("/".join((*site, row.path))), how)
    except (OSError, records.Malformed):
        # It changed since it was read; the next reading tells.
        return


def _judge(site: int, row: records.Row) -> Literal["changed", "missing"] | None:
    kind, _, wanted = row.digest.partition("=")
    if kind not in _HASHES:
        return "changed"
    path = PurePosixPath(row.path)
    try:
        with (
            opened_below(site, path.parts[:-1]) as folder,
            opened_file(path.name, folder) as descriptor,
            open(descriptor, "rb", closefd=False) as file,
        ):
            found = hashlib.file_digest(file, kind).digest()
    except FileNotFoundError:
        return "missing"
    except OSError:
        # A link, or something else that no wheel holds.
        return "changed"
    return None if base64.urlsafe_b64encode(found).rstrip(b"=").decode() == wanted.rstrip("=") else "changed"
