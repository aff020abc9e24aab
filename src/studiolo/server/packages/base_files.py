"""What the bases' locks name: the files that pass whatever a policy blocks, and the packages that people begin with."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from packaging.utils import canonicalize_name

from studiolo.packages.policy.decisions import Subject

# Both of a requirements file (--hash=sha256:…) and of a pylock.toml (sha256 = "…").
_DIGEST = re.compile(r"sha256[:=\s\"']+([0-9a-f]{64})")
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
# By name and version: the SHA-256 of its files.
Hashes = Mapping[tuple[str, str], tuple[str, ...]]


async def _none() -> Sequence[str]:
    return ()


class BaseFiles:
    """Reads locks. `lock`: that of the default base."""

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        # The texts of further bases' locks. Set by whoever keeps the catalogue.
        self.more_locks: Callable[[], Awaitable[Sequence[str]]] = _none

    async def digests(self, workspace_id: str) -> frozenset[str]:
        """Return the SHA-256 of all bases' files: an administrator chose each, whatever a workspace began with."""
        return _digests(await self._texts())

    async def hashes(self) -> Hashes:
        """Return what files each version has that a base names. Raises OSError."""
        return _hashes(await self._texts())

    async def packages(self) -> list[Subject]:
        """Return the packages of the default base."""
        text = _read(self._lock, self._lock.stat().st_mtime_ns)
        return [Subject("pypi", name.lower(), version) for name, version in _PINNED.findall(text)]

    async def _texts(self) -> tuple[str, ...]:
        return _read(self._lock, self._lock.stat().st_mtime_ns), *await self.more_locks()


@lru_cache(maxsize=4)
def _read(lock: Path, _changed_at: int) -> str:
    return lock.read_text(encoding="utf-8")


@lru_cache(maxsize=16)
def _digests(locks: tuple[str, ...]) -> frozenset[str]:
    return frozenset(digest for lock in locks for digest in _DIGEST.findall(lock))


@lru_cache(maxsize=4)
def _hashes(locks: tuple[str, ...]) -> Hashes:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for lock in locks:
        # What stands before the first, then name, version and what belongs to it, of each.
        _, *parts = _PINNED.split(lock)
        for name, version, rest in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            key = canonicalize_name(name), version
            found[key] = found.get(key, ()) + tuple(_DIGEST.findall(rest))
    return found
