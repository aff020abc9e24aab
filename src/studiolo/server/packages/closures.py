"""What the packages of an allowlist need: worked out beside the questions, which never wait for it."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from studiolo.contract.errors import StudioloError
from studiolo.packages.names import key

_log = structlog.get_logger(__name__)
_TRY_AGAIN_SECONDS = 300.0
# New versions need other packages.
_RENEW_SECONDS = 86_400.0
_MOST_KEPT = 1_000


class Closures:
    """Keeps, for the entries of an allowlist, the names of all that they need. One task works them out."""

    def __init__(self) -> None:
        # Returns the names of a whole closure; raises StudioloError. Set by whoever resolves.
        self.resolve: Callable[[Sequence[str]], Awaitable[Iterable[str]]] | None = None
        # Told when more is known: policies that were made without it are stale.
        self.on_known: Callable[[], None] = lambda: None
        self._known: dict[tuple[str, ...], tuple[float, tuple[str, ...]]] = {}
        self._wanted: dict[tuple[str, ...], None] = {}
        self._wake = asyncio.Event()

    def find(self, entries: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the sorted keys of what these entries need; None while nobody knows, which is then worked out."""
        at, found = self._known.get(entries, (None, None))
        is_good = at is not None and time.monotonic() < at + _RENEW_SECONDS
        if self.resolve is not None and not is_good and entries not in self._wanted:
            self._wanted[entries] = None
            self._wake.set()
        return found

    async def look_forever(self) -> None:
        """Work out what is wanted as it comes, and once in a while again what no index answered for."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TRY_AGAIN_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.look()
            except Exception:
                _log.exception("closures-not-worked-out")

    async def look(self) -> None:
        """Work out what is wanted now."""
        for entries in list(self._wanted):
            found = await self._work_out(entries)
            if found is None:
                continue
            del self._wanted[entries]
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[entries] = (time.monotonic(), found)
            self.on_known()

    async def _work_out(self, entries: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the names; entries that cannot be resolved together, each by itself. None: none of them could."""
        try:
            return await self._names(entries)
        except StudioloError as exc:
            _log.info("closure-not-whole", entries=len(entries), why=exc.message)
        found: set[str] = set()
        answered = False
        for entry in entries:
            with contextlib.suppress(StudioloError):
                found.update(await self._names([entry]))
                answered = True
        return tuple(sorted(found)) if answered else None

    async def _names(self, entries: Sequence[str]) -> tuple[str, ...]:
        if self.resolve is None:
            return ()
        return tuple(sorted({key(name) for name in await self.resolve(entries)}))
