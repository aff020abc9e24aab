"""What an environment is to be made of where the platform's own is not: see docs/decisions/014."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studiolo.runtime.launch import RefusedRequestError


@dataclass(frozen=True, slots=True)
class Pin:
    """One distribution. `hashes`: SHA-256 of the files that may be taken for it, hexadecimal; none: any file."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The pin as a line of a requirements file."""
        return " ".join((f"{self.name}=={self.version}", *(f"--hash=sha256:{one}" for one in self.hashes)))


@dataclass(frozen=True, slots=True)
class Recipe:
    """An environment by its lock. `hash`: the lock's; `python`: `3.11`, empty where it is not known.

    `base`: what the base of the environment brought; `added`: what the index delivered besides. `left_out`: names, for
    people, of what is in the lock and cannot be had again.
    """

    hash: str
    python: str
    base: tuple[Pin, ...] = ()
    added: tuple[Pin, ...] = ()
    left_out: tuple[str, ...] = ()

    @classmethod
    def from_members(cls, members: Mapping[str, Any]) -> "Recipe":
        """Read what `asdict` made, also after it was JSON. Raises RefusedRequestError."""
        try:
            base, added = (tuple(map(_read_pin, members[name])) for name in ("base", "added"))
            return cls(str(members["hash"]), str(members["python"]), base, added, tuple(map(str, members["left_out"])))
        except (KeyError, TypeError) as exc:
            raise RefusedRequestError(f"The launch request's recipe of an environment is none: {exc!r}.") from exc


def _read_pin(members: Mapping[str, Any]) -> Pin:
    return Pin(str(members["name"]), str(members["version"]), tuple(map(str, members["hashes"])))
