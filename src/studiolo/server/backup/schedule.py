"""When a nightly backup is due: pure."""

from datetime import datetime, timedelta

_AGAIN = timedelta(hours=1)
_LATE = timedelta(hours=36)


def is_due(now: datetime, at: str, *, last_good: datetime | None, last_try: datetime | None) -> bool:
    """Tell whether one should be made now: none is as young as the last time of day `at`. Times are local and aware.

    One that was missed while the platform was down is made up for; after a failure the next try is an hour later.
    """
    if not at or (last_try is not None and now - last_try < _AGAIN):
        return False
    hour, minute = map(int, at.split(":"))
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    wanted = today if today <= now else today - timedelta(days=1)
    return last_good is None or last_good < wanted


def is_late(now: datetime, at: str, *, last_good: datetime | None) -> bool:
    """Tell whether a nightly backup is wanted and the last good one is so old that somebody must look."""
    return bool(at) and last_good is not None and now - last_good > _LATE
