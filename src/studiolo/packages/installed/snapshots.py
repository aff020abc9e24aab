"""What was read from an environment, as plain data."""

from dataclasses import dataclass
from typing import Literal

from studiolo.packages.names import key

# Of each folder that installers write: device and number of the folder, and when something came or went in it.
Stamp = tuple[tuple[int, int, int], ...]


def shown(name: str) -> str:
    """Return a file's name as text that can be kept and shown: bytes that are no UTF-8 stand as `\\xff`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Distribution:
    """One distribution.

    `name`: canonical. `folder`: its `.dist-info`, or its file in `conda-meta`, relative to the environment.
    `installer`, `direct_url` (an address, PEP 610): as the installer wrote them: hints, no proof. `fingerprint`: of
    its RECORD (see `fingerprint`), None without one. `file`, `sha256`, `channel`: of a conda package's archive, as
    `conda-meta` says.
    """

    ecosystem: Literal["pypi", "conda"]
    name: str
    version: str
    folder: str
    installer: str | None = None
    direct_url: str | None = None
    fingerprint: str | None = None
    file: str | None = None
    sha256: str | None = None
    channel: str | None = None

    @property
    def digest(self) -> str | None:
        """What tells it from another build of the same version: its fingerprint, or its archive's SHA-256."""
        return self.fingerprint or self.sha256


@dataclass(frozen=True, slots=True)
class Orphan:
    """Code in site-packages that no distribution claims. `path`: relative to the environment.

    `digest`: SHA-256 of the content; of a link, of where it leads; None where it is too large to be read.
    """

    path: str
    digest: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd that was met while reading.

    `kind`: `record-missing`, `record-unreadable`, `record-outside`, `metadata-unreadable`, `name-differs`, `twice`,
    `link`, `unreadable`, `too-many`. `path`: relative to the environment. `text`: one sentence.
    """

    kind: str
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An environment at one moment. `python`: `3.11`, empty where nothing says it. All parts are sorted."""

    python: str
    is_conda: bool
    distributions: tuple[Distribution, ...]
    orphans: tuple[Orphan, ...]
    findings: tuple[Finding, ...]
    stamp: Stamp

    def find(self, name: str) -> Distribution | None:
        """Return the distribution of a name, however its separators are written; of pypi before conda."""
        found = [one for one in self.distributions if key(one.name) == key(name)]
        return max(found, key=lambda one: one.ecosystem, default=None)
