"""The plug-in point of ecosystems: what packages come to, and how they get into an environment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from studiolo.contract.environments import Ecosystem

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be resolved. `environment`: the prefix it is for; `interpreter`: one of ours, of the same Python.

    `specs`: as `read_spec` returns them. `keep`: more specs that must go on to hold. `present`: versions there, by
    name, which are preferred; those in `upgrade` are not. `limits`: specs that hold only for what comes in by itself.
    `not_after`: no file that was uploaded later. `channels`: of conda, in their order; none: the
    trusted ones. `trusted`: what the policy trusts; None where there is no policy.
    """

    environment: Path
    interpreter: Path
    specs: Sequence[str]
    keep: Sequence[str] = ()
    present: Mapping[str, str] = field(default_factory=dict)
    upgrade: frozenset[str] = frozenset()
    limits: Sequence[str] = ()
    not_after: datetime | None = None
    channels: Sequence[str] = ()
    trusted: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """One package of a closure, and the file that fits this machine best. `sha256`: hexadecimal; None if untold."""

    name: str
    version: str
    file: str | None = None
    sha256: str | None = None
    uploaded_at: datetime | None = None
    is_wheel: bool | None = None
    channel: str | None = None
    ecosystem: Ecosystem = "pypi"


@dataclass(frozen=True, slots=True)
class IndexAccess:
    """Where a build fetches files, and a netrc's text that lets it; the same policy holds there as for anybody.

    `certificates`: a bundle to trust; None where the usual one does.
    """

    url: str
    netrc: str
    certificates: Path | None = None


@dataclass(frozen=True, slots=True)
class Alteration:
    """How an environment is to be changed: `install` at exactly these versions and hashes, `remove` by name.

    `index` None: files come from where the machine itself gets them. `home`: where it will be used, for what is written
    into files; None: where it is. `interpreter`: one of ours, of the same Python; what is in the environment may have
    been written by its users and is never run.
    """

    interpreter: Path

    install: Sequence[Resolved] = ()
    remove: Sequence[str] = ()
    index: IndexAccess | None = None
    home: Path | None = None


class Installer(Protocol):
    """An ecosystem. Keeps nothing between calls; a call that is cancelled leaves no process behind."""

    async def resolve(self, wanted: Wanted) -> list[Resolved]:
        """Return the whole closure, unfiltered by any policy. Called by the planner, before anything is made.

        Raises Conflict (`package-unsolvable`), Unavailable (`packages-unavailable`).
        """
        ...

    async def explain(self, wanted: Wanted, closure: Sequence[Resolved]) -> dict[str, list[str]]:
        """Return for each name of a closure those of it that need it; whatever was asked for directly lacks itself."""
        ...

    async def apply(self, prefix: Path, change: Alteration, tell: Tell) -> None:
        """Change the environment `prefix`, a private copy that nobody uses yet; `tell` gets lines for people.

        Raises Unavailable (`build-failed`); what `prefix` holds does not matter then.
        """
        ...
