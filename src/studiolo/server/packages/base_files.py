"""What the bases' locks name: the files that pass whatever a policy blocks, and the packages that people begin with."""

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from pathlib import Path

from studiolo.packages.policy.decisions import Subject

# Both of a requirements file (--hash=sha256:…) and of a pylock.toml (sha256 = "…").
_DIGEST = re.compile(r"sha256[:=\s\"']+([0-9a-f]{64})")
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


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
        return _digests((_read(self._lock, self._lock.stat().st_mtime_ns), *await self.more_locks()))

    async def packages(self) -> list[Subject]:
        """Return the packages of the default base."""
        text = _read(self._lock, self._lock.stat().st_mtime_ns)
        return [Subject("pypi", name.lower(), version) for name, version in _PINNED.findall(text)]


@lru_cache(maxsize=4)
def _read(lock: Path, _changed_at: int) -> str:
    return lock.read_text(encoding="utf-8")


@lru_cache(maxsize=16)
def _digests(locks: tuple[str, ...]) -> frozenset[str]:
    return frozenset(digest for lock in locks for digest in _DIGEST.findall(lock))
