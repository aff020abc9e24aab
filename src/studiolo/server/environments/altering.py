"""What a build does to an environment, decided from what is there and what is wished; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from studiolo.contract.environments import Ecosystem
from studiolo.contract.errors import Conflict, NotFound
from studiolo.packages.installed.differing import Change, compare
from studiolo.packages.installed.lock import Lock, LockedPackage
from studiolo.packages.installed.snapshots import Distribution, Snapshot
from studiolo.server.environments.client_wheel import NAME as CLIENT
from studiolo.server.environments.installing import Resolved

# A conda package may bring what one of PyPI needs, and not the other way round.
_ORDER: tuple[Ecosystem, ...] = ("conda", "pypi")


@dataclass(frozen=True, slots=True)
class Part:
    """What one installer does: remove by name, then install."""

    ecosystem: Ecosystem
    install: Sequence[Resolved] = ()
    remove: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    """`from_base`: begin with a clone of the base, not of the live environment."""

    parts: Sequence[Part] = ()
    from_base: bool = False

    @property
    def installed(self) -> list[Resolved]:
        """All that is installed."""
        return [one for part in self.parts for one in part.install]

    @property
    def is_empty(self) -> bool:
        """Whether the environment stays as it is."""
        return not self.parts and not self.from_base


def steps_for(closures: Sequence[tuple[Ecosystem, Sequence[Resolved]]], live: Snapshot) -> Steps:
    """Return what makes an environment hold closures beside what it has."""
    present = {(one.ecosystem, one.name, one.version) for one in live.distributions}
    parts = [
        Part(ecosystem, [one for one in closure if (ecosystem, one.name, one.version) not in present])
        for ecosystem, closure in closures
    ]
    return Steps([part for part in parts if part.install])


def steps_to(lock: Lock, live: Snapshot, base: Snapshot, *, anew: bool) -> Steps:
    """Return what makes an environment hold exactly what a lock says.

    What the base brings comes from the base itself, so that no policy and no index stands in its way. Our own client
    is that of the platform which runs here, whatever version the lock's base had.
    """
    brought = {_identity(one) for one in base.distributions}
    differences = compare(live.distributions, lock.packages)
    from_base = anew or any(
        # Where conda's Python took the place of the base's, nothing else brings that back.
        (one.one.ecosystem, one.one.name) == ("conda", "python")
        if one.after is None
        else _identity(one.after) in brought
        for one in differences
    )
    if from_base:
        differences = compare(base.distributions, lock.packages)
    parts = []
    for ecosystem in _ORDER:
        mine = [one for one in differences if one.one.ecosystem == ecosystem and not _is_of_client(one, base)]
        install = [_resolved(one.after) for one in mine if isinstance(one.after, LockedPackage)]
        remove = [one.one.name for one in mine if one.after is None]
        if install or remove:
            parts.append(Part(ecosystem, install, remove))
    return Steps(parts, from_base)


def steps_without(names: Sequence[str], live: Snapshot, base: Snapshot, workspace: str) -> Steps:
    """Return what takes packages out. Raises NotFound (`package-not-installed`), Conflict (`package-of-base`)."""
    of: dict[Ecosystem, list[str]] = {}
    for name in names:
        found = live.find(name)
        if found is None:
            raise NotFound(
                "package-not-installed",
                f"{name} is not installed in {workspace!r}.",
                hint=f"studiolo packages {workspace} lists what is.",
            )
        if base.find(name) is not None:
            raise Conflict(
                "package-of-base",
                f"{name} came with the base of {workspace!r}, whose other packages need it.",
                hint="Choose another base, or undo the build that changed its version.",
            )
        of.setdefault(found.ecosystem, []).append(found.name)
    return Steps([Part(ecosystem, remove=gone) for ecosystem, gone in of.items()])


def _is_of_client(change: Change, base: Snapshot) -> bool:
    after = change.after
    was_of_base = after is None or (isinstance(after, LockedPackage) and after.origin == "base")
    return change.one.name == CLIENT and was_of_base and base.find(CLIENT) is not None


def _identity(one: object) -> tuple[str, str, str, str | None]:
    assert isinstance(one, Distribution | LockedPackage)
    return one.ecosystem, one.name, one.version, one.digest


def _resolved(one: LockedPackage) -> Resolved:
    return Resolved(one.name, one.version, one.file, one.sha256, channel=one.channel, ecosystem=one.ecosystem)
