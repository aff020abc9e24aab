"""A bounded map whose entries are good for a moment and can be dropped at once."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class MomentCache(Generic[Key, Value]):
    """Remembers answers for `seconds`; `clear` after every change that could make one untrue."""

    def __init__(self, seconds: float, limit: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._limit = limit
        self._clock = clock
        self._entries: dict[Key, tuple[float, Value]] = {}
        self.generation = 0
        # Told when everything is forgotten.
        self.watchers: list[Callable[[], None]] = []

    def find(self, key: Key) -> Value | None:
        """Return the value if it is known and still good."""
        entry = self._entries.get(key)
        if entry is None or entry[0] < self._clock():
            return None
        return entry[1]

    def put(self, key: Key, value: Value, *, generation: int | None = None) -> None:
        """Remember a value; not if `clear` came since `generation` was read (the value may be of before)."""
        if generation is not None and generation != self.generation:
            return
        if len(self._entries) >= self._limit:
            self._entries.clear()
        self._entries[key] = (self._clock() + self._seconds, value)

    def clear(self) -> None:
        """Forget everything."""
        self.generation += 1
        self._entries.clear()
        for watcher in self.watchers:
            watcher()
