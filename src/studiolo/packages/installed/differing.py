"""What came, went and changed between two readings of an environment."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from studiolo.packages.installed.snapshots import Snapshot


class Installed(Protocol):
    """What is compared: a distribution as it was read, or as a lock names it."""

    @property
    def ecosystem(self) -> Literal["pypi", "conda"]:
        """Where it comes from."""
        ...

    @property
    def name(self) -> str:
        """Canonical."""
        ...

    @property
    def version(self) -> str:
        """As it is written."""
        ...

    @property
    def digest(self) -> str | None:
        """What tells it from another build of the same version."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """One distribution's change; `changed` is another version, or another build of the same one."""

    kind: Literal["installed", "removed", "changed"]
    before: Installed | None
    after: Installed | None

    @property
    def one(self) -> Installed:
        """The distribution as it is now, or as it was."""
        found = self.after or self.before
        assert found is not None
        return found


def difference(before: Snapshot, after: Snapshot) -> tuple[Change, ...]:
    """Return what changed between two snapshots, by ecosystem and name."""
    return compare(before.distributions, after.distributions)


def compare(before: Iterable[Installed], after: Iterable[Installed]) -> tuple[Change, ...]:
    """Return what changed between two lists of distributions, by ecosystem and name."""
    old = {(one.ecosystem, one.name): one for one in before}
    new = {(one.ecosystem, one.name): one for one in after}
    changes = (_change(old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys()))
    return tuple(change for change in changes if change is not None)


def _change(before: Installed | None, after: Installed | None) -> Change | None:
    if before is None:
        return Change("installed", None, after)
    if after is None:
        return Change("removed", before, None)
    same = (before.version, before.digest) == (after.version, after.digest)
    return None if same else Change("changed", before, after)
