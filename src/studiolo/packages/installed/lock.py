"""The lock of an environment: what it holds, with hashes, as a `pylock.toml`, and the hash that names it.

Source: PEP 751. What the index delivered stands under `packages`, as any tool reads it. What only makes sense here
stands under `tool.studiolo`: what the base brought, conda's packages, what nobody delivered, and code of nobody's.
"""

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass
from typing import Any, Literal

import tomli_w
from packaging.pylock import Package, PackageWheel, Pylock
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from studiolo.kit.plain_toml import read_toml
from studiolo.packages.installed.snapshots import Distribution, Orphan, Snapshot

# Counts up when the canonical form changes.
_LAYOUT = 1
# Where a file is had from, relative to where the index is.
INDEX = "/pypi/files"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The file that the index handed out for a fingerprint. `sha256`: hexadecimal."""

    file: str
    sha256: str
    channel: str


@dataclass(frozen=True, slots=True)
class Base:
    """What an environment began from. `hash`: SHA-256 of the base's own lock; `snapshot`: of the base itself."""

    name: str
    hash: str
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One distribution. `origin`: the base brought it, the index or a channel delivered it, or nobody knows.

    `digest`: its fingerprint, or a conda archive's SHA-256. `file`, `sha256`, `channel`: of the archive, if known.
    """

    ecosystem: Literal["pypi", "conda"]
    name: str
    version: str
    digest: str | None
    origin: Literal["base", "delivered", "unproven"]
    file: str | None = None
    sha256: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """What an environment holds. `base`, `base_hash`: what it began from. `python`: `3.11`. All parts are sorted.

    `orphans`: code that no distribution claims and that the base did not bring; `base_files`: what of it the base did.
    """

    base: str
    base_hash: str
    python: str
    packages: tuple[LockedPackage, ...]
    orphans: tuple[Orphan, ...] = ()
    base_files: tuple[Orphan, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical form, hexadecimal: the same wherever the same was installed on the same base."""
        lines = [f"studiolo environment {_LAYOUT}", f"base {self.base_hash}", f"python {self.python}"]
        lines += [f"{one.ecosystem} {one.name} {one.version} {one.digest or '-'}" for one in self.packages]
        lines += [f"file {orphan.path!r} {orphan.digest or '-'}" for orphan in self.orphans]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def as_base(self) -> Base:
        """Return what of its base the environment still held, for when nothing else tells of the base any more."""
        brought = (
            Distribution(
                one.ecosystem,
                one.name,
                one.version,
                "",
                fingerprint=one.digest if one.ecosystem == "pypi" else None,
                sha256=one.digest if one.ecosystem == "conda" else None,
            )
            for one in self.packages
            if one.origin == "base"
        )
        return Base(self.base, self.base_hash, Snapshot(self.python, False, tuple(brought), self.base_files, (), ()))

    @property
    def added(self) -> tuple[LockedPackage, ...]:
        """What was installed beyond the base."""
        return tuple(one for one in self.packages if one.origin != "base")

    def to_toml(self, index: str = INDEX) -> str:
        """Return it as a `pylock.toml`. `index`: address before `/{name}/{file}` of each file."""
        delivered = [one for one in self.packages if _is_plain(one)]
        rest = [one for one in self.packages if not _is_plain(one)]
        pylock = Pylock(
            lock_version=Version("1.0"),
            created_by="studiolo",
            requires_python=SpecifierSet(f"=={self.python}.*") if self.python else None,
            packages=[_plain(one, index) for one in delivered],
        )
        ours: dict[str, Any] = {
            "base": self.base,
            "base-hash": self.base_hash,
            "python": self.python,
            "hash": self.hash,
            "packages": [_members(one) for one in rest],
            "files": [_members(orphan) for orphan in self.orphans],
            "base-files": [_members(orphan) for orphan in self.base_files],
        }
        return tomli_w.dumps({**pylock.to_dict(), "tool": {"studiolo": ours}})

    @classmethod
    def from_toml(cls, text: str) -> "Lock":
        """Read what `to_toml` wrote. Raises ValueError for everything else."""
        try:
            members = read_toml(text)
            ours = members["tool"]["studiolo"]
            packages = [_read_plain(package) for package in members["packages"]]
            packages += [LockedPackage(**{"digest": None, **package}) for package in ours["packages"]]
            return cls(
                base=ours["base"],
                base_hash=ours["base-hash"],
                python=ours["python"],
                packages=_sorted(packages),
                orphans=_read_files(ours["files"]),
                base_files=_read_files(ours["base-files"]),
            )
        except (KeyError, TypeError, IndexError) as exc:
            raise ValueError(f"no lock of an environment: {exc!r}") from exc


def lock_of(snapshot: Snapshot, base: Base, delivered: Mapping[str, Delivered]) -> Lock:
    """Return the lock of an environment as it was read.

    `delivered`: by digest (fingerprint, conda archive's SHA-256), what was handed out to this workspace.
    """
    brought = {(*_key(one), one.digest) for one in base.snapshot.distributions}
    files = set(base.snapshot.orphans)
    return Lock(
        base=base.name,
        base_hash=base.hash,
        python=snapshot.python,
        packages=_sorted(_locked(one, brought, delivered) for one in snapshot.distributions),
        orphans=tuple(orphan for orphan in snapshot.orphans if orphan not in files),
        base_files=tuple(orphan for orphan in snapshot.orphans if orphan in files),
    )


def _locked(
    one: Distribution, brought: Set[tuple[str, str, str, str | None]], delivered: Mapping[str, Delivered]
) -> LockedPackage:
    if (*_key(one), one.digest) in brought:
        return LockedPackage(*_key(one), one.digest, "base")
    if one.ecosystem == "conda":
        origin: Literal["delivered", "unproven"] = "delivered" if one.sha256 in delivered else "unproven"
        return LockedPackage(*_key(one), one.digest, origin, one.file, one.sha256, one.channel)
    file = delivered.get(one.fingerprint or "")
    if file is None:
        return LockedPackage(*_key(one), one.digest, "unproven")
    return LockedPackage(*_key(one), one.digest, "delivered", file.file, file.sha256, file.channel)


def _key(one: Distribution) -> tuple[Literal["pypi", "conda"], str, str]:
    return one.ecosystem, one.name, one.version


def _sorted(packages: Iterable[LockedPackage]) -> tuple[LockedPackage, ...]:
    return tuple(sorted(packages, key=lambda one: (one.ecosystem, one.name, one.version, one.digest or "")))


def _is_plain(one: LockedPackage) -> bool:
    """Tell whether other tools can read it: a wheel that the index delivered."""
    if one.ecosystem != "pypi" or one.origin != "delivered" or not one.file or not one.sha256:
        return False
    try:
        # What a hostile METADATA says may be no version.
        return str(Version(one.version)) == one.version
    except InvalidVersion:
        return False


def _plain(one: LockedPackage, index: str) -> Package:
    assert one.file
    assert one.sha256
    wheel = PackageWheel(name=one.file, url=f"{index}/{one.name}/{one.file}", hashes={"sha256": one.sha256})
    return Package(
        name=NormalizedName(one.name),
        version=Version(one.version),
        wheels=[wheel],
        tool={"studiolo": {"digest": one.digest, "channel": one.channel}},
    )


def _read_plain(package: Mapping[str, Any]) -> LockedPackage:
    wheel, ours = package["wheels"][0], package["tool"]["studiolo"]
    sha256 = wheel["hashes"]["sha256"]
    return LockedPackage(
        "pypi", package["name"], package["version"], ours["digest"], "delivered", wheel["name"], sha256, ours["channel"]
    )


def _read_files(members: Iterable[Mapping[str, Any]]) -> tuple[Orphan, ...]:
    return tuple(Orphan(file["path"], file.get("digest")) for file in members)


def _members(one: LockedPackage | Orphan) -> dict[str, Any]:
    return {key: value for key, value in asdict(one).items() if value is not None}
