"""What of this machine a workload needs that sees little of it: interpreters, our own programs, the way out."""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import studiolo
from studiolo.runtime.bases import bases_of

# An image brings these itself; ours over its own would break it.
_OF_IMAGES = tuple(map(Path, ("/", "/usr", "/usr/local")))
_PARTS = ("bin", "lib", "lib64", "include")
# As many as the system follows.
_MOST_LINKS = 40
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class WayOut:
    """How programs without a network reach the platform: `port` on their loopback leads to `socket`."""

    socket: Path
    port: int
    host: str

    @property
    def names(self) -> list[str]:
        """Names that must mean the workload's own loopback."""
        return [] if self.host in _LOOPBACK else [self.host]


def find_way_out(address: str, socket: Path | None) -> WayOut | None:
    """Return how `address`, the platform's own, is reached through `socket`; None without one of them."""
    parts = urlsplit(address)
    if socket is None or parts.scheme not in _PORTS or parts.hostname is None:
        return None
    return WayOut(socket, parts.port or _PORTS[parts.scheme], parts.hostname)


def find_runtime_folders() -> list[Path]:
    """Return the folders that this installation consists of: its environment, its interpreter, its packages."""
    environment = Path(sys.prefix)
    return without_nested(
        [environment, *find_interpreters(environment), *(Path(folder).parent for folder in studiolo.__path__)]
    )


def own_python() -> Path:
    """Return the interpreter of this installation."""
    return Path(sys.prefix) / "bin" / "python"


def find_interpreters(environment: Path) -> list[Path]:
    """Return the folders of the interpreter that an environment was made with, by each of its links. Reads links.

    Those of its base: its users can have its own links name any folder.
    """
    found = [folder for base in bases_of(environment) for folder in _follow(base / "bin" / "python")]
    # Not the whole prefix: it may be somebody's home folder.
    prefixes = [folder for folder in found if folder not in (environment, *_OF_IMAGES)]
    return [part for folder in prefixes for name in _PARTS if (part := folder / name).is_dir()]


def _follow(program: Path) -> Iterator[Path]:
    for _ in range(_MOST_LINKS):
        if not program.is_symlink():
            return
        program = Path(os.path.normpath(program.parent / program.readlink()))
        # bin/python3.x lies two levels down.
        yield program.parent.parent


def without_nested(folders: Iterable[Path]) -> list[Path]:
    """Return `folders`, each once, without those that lie in another one."""
    kept: list[Path] = []
    for folder in sorted(set(folders), key=lambda one: one.parts):
        if not any(folder.is_relative_to(other) for other in kept):
            kept.append(folder)
    return kept
