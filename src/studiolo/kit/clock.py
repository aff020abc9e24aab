"""The clock, so that tests can move it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time in aware UTC, and how long this process runs."""

    def now(self) -> datetime:
        """Return the present time."""
        ...

    def running(self) -> timedelta:
        """Return a time that only goes forward and does not follow corrections of the clock, for intervals."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present time, to the microsecond."""
        return datetime.now(UTC)

    def running(self) -> timedelta:
        """Return the monotonic time; it stands still while the machine sleeps."""
        return timedelta(seconds=time.monotonic())


class ManualClock:
    """A clock that moves only when told."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._running = timedelta(0)

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self._now

    def running(self) -> timedelta:
        """Return how far it was moved forward."""
        return self._running

    def advance(self, by: timedelta) -> None:
        """Move forward."""
        self._now += by
        self._running += by

    def jump(self, by: timedelta) -> None:
        """Correct the time of day, forward or back; nothing takes longer by that."""
        self._now += by
