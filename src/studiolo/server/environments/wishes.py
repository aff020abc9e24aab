"""What a build was asked for, as its row keeps it, so that a restarted platform goes on with it."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from studiolo.contract.environments import Ecosystem
from studiolo.server.environments.specs import read_spec


@dataclass(frozen=True, slots=True)
class Wish:
    """`install`, `conda`: specs of either ecosystem; `channels`: of conda, in their order; `remove`: names.

    `to`: a build whose lock is to hold again; `anew`: from the base on.

    `lock`: a lock from elsewhere that is to hold. `hashes`: by name, SHA-256 of the files that may be taken.
    `asked`: all specs that people asked for and that are to go on holding, with this wish done.
    """

    install: list[str] = field(default_factory=list)
    conda: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    upgrade: bool = False
    to: int | None = None
    anew: bool = False
    lock: str | None = None
    hashes: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def specs(self) -> list[tuple[Ecosystem, list[str]]]:
        """What is to be installed by ecosystem, conda's first: it may bring what the others need."""
        both: list[tuple[Ecosystem, list[str]]] = [("conda", self.conda), ("pypi", self.install)]
        return [(ecosystem, specs) for ecosystem, specs in both if specs]

    def to_json(self) -> dict[str, Any]:
        """Return it without what is as it comes."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> "Wish":
        """Read what `to_json` wrote; what others wrote beside it is left out."""
        return cls(**{name: value for name, value in members.items() if name in cls.__dataclass_fields__})

    def settled(self, before: list[str]) -> "Wish":
        """Return it with `asked` brought up to date. `before`: what the build before was to go on with."""
        if not self.install and not self.remove:
            return self if self.asked else replace(self, asked=before)
        gone = {*(read_spec(spec).name for spec in self.install), *self.remove}
        return replace(self, asked=[spec for spec in before if read_spec(spec).name not in gone] + self.install)

    def describe(self, cause: str) -> str:
        """Return it in words, for people."""
        if self.install or self.conda:
            by_conda = f"{', '.join(self.conda)} by conda" if self.conda else ""
            return f"Install {', '.join(filter(None, (*self.install, by_conda)))}"
        if self.remove:
            return f"Remove {', '.join(self.remove)}"
        if self.to is not None:
            return f"Go back to build {self.to}"
        if self.anew:
            return "Build it anew from its lock"
        return _WITHOUT_WISH.get(cause, "")


_WITHOUT_WISH = {
    "base": "Begin from the base",
    "reset": "Begin from the base again",
    "live": "Changed by an installer in a notebook or terminal",
    "restore": "Restore from a lock",
}
