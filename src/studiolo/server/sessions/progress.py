"""What an observation tells of a start's progress and of a session's end in time: pure decisions over plain data."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping

from studiolo.engines.base import Observation, Phase
from studiolo.server.sessions.wire import limits_of

# Schedulers guess again at each question; smaller changes are no news.
_NEWS = timedelta(seconds=30)


def changes_of(row: RowMapping, seen: Observation, now: datetime) -> dict[str, Any]:
    """Return the columns to write: `progress`, `placed_at` and `ends_at`, as far as they are others by now.

    `row`: a session's. Nothing changes by what an earlier launch does.
    """
    if row["handle_launch"] != row["launch"] or seen.phase is Phase.ENDED:
        return {}
    before = row["progress"]
    changes: dict[str, Any] = {}
    waited = bool(before and before["waiting"])
    after = _progress(seen, waited=waited, now=now)
    if _is_news(before, after):
        changes["progress"] = after
    if waited and seen.phase in (Phase.STARTING, Phase.READY):
        changes["placed_at"] = now
    ends_at = _end(row, seen, now)
    if (ends_at is None) != (row["ends_at"] is None) or (ends_at and abs(ends_at - row["ends_at"]) > _NEWS):
        changes["ends_at"] = ends_at
    return changes


def is_over(row: RowMapping, seen: Observation, now: datetime) -> bool:
    """Tell whether a session's time is over that its engine does not end itself."""
    end = _end(row, seen, now) if seen.phase is Phase.READY and seen.ends_at is None else None
    return end is not None and end <= now


def _progress(seen: Observation, *, waited: bool, now: datetime) -> dict[str, Any] | None:
    waits = seen.phase is Phase.PENDING or (seen.phase is Phase.UNKNOWN and waited)
    if seen.phase is Phase.READY or not (seen.message or waits):
        return None
    return {
        "message": seen.message or "It waits for its turn.",
        "waiting": waits,
        "expected_start": seen.expected_start.isoformat() if seen.expected_start else None,
        "at": now.isoformat(),
    }


def _is_news(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    if before is None or after is None:
        return before is not after
    if any(before[key] != after[key] for key in ("message", "waiting")):
        return True
    one, other = before["expected_start"], after["expected_start"]
    if one is None or other is None:
        return bool(one != other)
    return abs(datetime.fromisoformat(one) - datetime.fromisoformat(other)) > _NEWS


def _end(row: RowMapping, seen: Observation, now: datetime) -> datetime | None:
    if seen.phase is Phase.UNKNOWN:
        end: datetime | None = row["ends_at"]
        return end
    limit = limits_of(row).time_limit
    own = (row["ready_at"] or now) + timedelta(seconds=limit) if limit and seen.phase is Phase.READY else None
    return seen.ends_at or own
