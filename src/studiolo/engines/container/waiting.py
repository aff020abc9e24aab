"""What a container that waits for a launch is to be, and what of a launch it still lacks. Plain data from plain data.

A launch's container and one that waits for it are the same but for what is mounted when it is known whose it is.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studiolo.engines.container.configuration import GPUS, INSTANCE, WAITING, Mount
from studiolo.engines.container.inside import WAIT
from studiolo.kit.files import write_atomically

# Of the body of `POST /containers/create`: what makes one container this launch's and no other's.
_OWN = ("Cmd", "Env", "Labels", "HostConfig")


@dataclass(frozen=True, slots=True)
class Kind:
    """Launches that the same waiting containers can take: one image, one set of limits, one way to the platform.

    `body`: of the request to create one, without what is its own. `covered`: closed folders of images that their
    launches need something in.
    """

    body: Mapping[str, Any]
    way_out: tuple[str, ...]
    covered: tuple[str, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any], cover: Path) -> "Kind | None":
        """Return the kind of a launch's container, whose covers lie in `cover`; None for one that none can wait for."""
        # Whoever waits with a GPU keeps it from those who would use it.
        if config["Labels"][GPUS]:
            return None
        limits = {name: value for name, value in config["HostConfig"].items() if name != "Mounts"}
        body = {name: value for name, value in config.items() if name not in _OWN} | {"HostConfig": limits}
        covered = tuple(one["Target"] for one in config["HostConfig"]["Mounts"] if _is_in(cover, one))
        way_out = tuple(config["Cmd"][1:])
        return cls(body, way_out, covered)

    @property
    def key(self) -> str:
        """The same for all launches of the kind."""
        text = json.dumps([self.body, self.way_out, self.covered], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class LaunchedKinds:
    """The kinds that were launched last, newest last; kept in `file` for the control plane after us.

    `mark`: names the settings; what was launched under others is forgotten.
    """

    def __init__(self, file: Path, mark: str, count: int) -> None:
        self._file = file
        self._mark = mark
        self._count = count
        self._kinds: dict[str, Kind] = {}
        self._is_news = False

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._kinds.values()))

    def load(self) -> None:
        """Know those that a control plane before us wrote down. Blocking."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(self._file.read_bytes())
            if known["mark"] == self._mark:
                for body, way_out, covered in known["kinds"]:
                    self.note(Kind(body, tuple(way_out), tuple(covered)))

    def note(self, kind: Kind) -> None:
        """Have `kind` be the newest; the oldest goes if there are too many."""
        self._is_news = self._is_news or kind.key not in self._kinds
        self._kinds.pop(kind.key, None)
        self._kinds[kind.key] = kind
        for key in list(self._kinds)[: -self._count]:
            del self._kinds[key]

    def drop(self, kind: Kind) -> None:
        """Forget a kind until it is launched again."""
        self._kinds.pop(kind.key, None)

    def save(self) -> None:
        """Write down what was launched. Blocking. Raises OSError."""
        if not self._is_news:
            return
        kinds = [[one.body, one.way_out, one.covered] for one in self._kinds.values()]
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._file, json.dumps({"mark": self._mark, "kinds": kinds}))
        self._is_news = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting container has what it shares with us. `folder`: private and short, for it holds a socket."""

    folder: Path

    @property
    def gate(self) -> Path:
        """The socket at which the container takes its launch, in a folder that it can write to."""
        return self.folder / "gate" / "s.sock"

    @property
    def cover(self) -> Path:
        """Empty folders to mount others at, as of a launch."""
        return self.folder / "cover"


def waiting_config(kind: Kind, instance: str, place: Place, mounts: Sequence[Mount]) -> dict[str, Any]:
    """Return the body of `POST /containers/create`. `mounts`: what all containers have, covers included."""
    gate = Mount.same(place.gate.parent, writable=True)
    return {
        **kind.body,
        "Cmd": [WAIT, str(place.gate), *kind.way_out],
        "Env": ["PYTHONDONTWRITEBYTECODE=1", "HOME=/tmp", "LANG=C.UTF-8"],
        "Labels": {INSTANCE: instance, GPUS: "", WAITING: place.folder.name},
        "HostConfig": kind.body["HostConfig"] | {"Mounts": [one.to_api() for one in (*mounts, gate)]},
    }


def list_missing(config: Mapping[str, Any], cover: Path, there: Sequence[Mount]) -> list[Mount]:
    """Return what a launch's container has and a waiting one, with `there`, has not; in the order to mount it.

    What is there already is mounted once more if a folder comes over it.
    """
    wanted = [Mount.from_api(one) for one in config["HostConfig"]["Mounts"] if not _is_in(cover, one)]
    found: list[Mount] = []
    for mount in sorted(wanted, key=lambda one: len(one.target.parts)):
        if mount not in there or any(mount.target.is_relative_to(over.target) for over in found):
            found.append(mount)
    return found


def _is_in(cover: Path, mount: Mapping[str, Any]) -> bool:
    return Path(mount["Source"]).is_relative_to(cover)
