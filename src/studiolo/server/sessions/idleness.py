"""Whether a session is idle, and when it will be stopped for it: pure decisions over plain data.

All times are the platform's running time (`Clock.running`): corrections of the clock, sleeping machines and
restarts of the platform make nobody idle (promise R9).
"""

from dataclasses import dataclass, replace
from datetime import timedelta

# Sessions report at least once a minute; beyond this nothing is known of them, and nothing is concluded.
STALE = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Seen:
    """A running session at one look. `mark` differs for each report; None: it never reported.

    `is_busy`: a kernel is busy, or a terminal's foreground is a job. `last_active`: changes with each kernel
    message, save and terminal output; open tabs alone change nothing. `keep`: how much longer somebody wants it
    kept; `keep_mark` differs for each such wish.
    """

    launch: int
    mark: str | None = None
    is_busy: bool = False
    last_active: str | None = None
    keep: timedelta = timedelta(0)
    keep_mark: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a session from look to look."""

    seen: Seen
    looked_at: timedelta
    heard_at: timedelta
    active_at: timedelta
    kept_until: timedelta
    warned_at: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look means. `stops_in`: from when people are warned until the stop; zero or less: stop it now."""

    memory: Memory
    idle_for: timedelta
    stops_in: timedelta | None

    @property
    def must_stop(self) -> bool:
        """Whether the time is over."""
        return self.stops_in is not None and self.stops_in <= timedelta(0)


def decide_idle(
    before: Memory | None, seen: Seen, now: timedelta, *, idle_stop: timedelta, warning: timedelta
) -> Verdict:
    """Say how long a session is idle and when it stops; `idle_stop` zero: never.

    Nobody is stopped who was not warned `warning` before (or `idle_stop`, if that is less).
    """
    memory = _remember(before, seen, now)
    idle_for = now - memory.active_at
    if not idle_stop:
        return Verdict(memory, idle_for, None)
    deadline = max(memory.active_at + idle_stop, memory.kept_until)
    warning = min(warning, idle_stop)
    if now < deadline - warning:
        return Verdict(replace(memory, warned_at=None), idle_for, None)
    warned_at = now if memory.warned_at is None else memory.warned_at
    return Verdict(replace(memory, warned_at=warned_at), idle_for, max(deadline, warned_at + warning) - now)


def _remember(before: Memory | None, seen: Seen, now: timedelta) -> Memory:
    if before is None or before.seen.launch != seen.launch or now - before.looked_at > STALE:
        # Also when we did not look for long: whoever was away cannot say what happened, nor has warned.
        return Memory(seen, now, now, now, now + seen.keep)
    is_news = seen.mark != before.seen.mark
    heard_at = now if is_news else before.heard_at
    moved = seen.last_active != before.seen.last_active
    is_active = seen.is_busy or moved or seen.mark is None or now - heard_at > STALE
    kept_until = now + seen.keep if seen.keep_mark != before.seen.keep_mark else before.kept_until
    return Memory(seen, now, heard_at, now if is_active else before.active_at, kept_until, before.warned_at)
