"""What a container that waits for a launch is to be, and what of a launch it still lacks. Plain data from plain data.

A launch's container and one that waits for it are the same but for what is mounted when it is known whose it is.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studiolo.engines.container.configuration import GPUS, INSTANCE, WAITING, Mount
from studiolo.engines.container.inside import WAIT

# Of the body of `POST /containers/create`: what makes one container this launch's and no other's.
_OWN = ("Cmd", "Env", "Labels", "HostConfig")


@dataclass(frozen=True, slots=True)
class Kind:
    """Launches that the same waiting containers can take: one image, one set of limits, one way to the platform.

    `body`: of the request to create one, without what is its own. `covered`: closed folders of images that their
    launches need something in.
    """

    key: str
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
        text = json.dumps([body, way_out, covered], sort_keys=True)
        return cls(hashlib.sha256(text.encode()).hexdigest(), body, way_out, covered)


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
