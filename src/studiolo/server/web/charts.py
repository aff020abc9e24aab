"""Draw what was used as lines: pure geometry in per cent of the drawing, so that templates only place it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from studiolo.contract.models import Session

_TOP, _BOTTOM = 12.0, 86.0
# Room for the number at the end of the line, and above the limit.
_HEADROOM = 1.08
# Samples come once a minute; where more are missing than one, the line has a gap.
_GAP = timedelta(seconds=150)


@dataclass(frozen=True, slots=True)
class Chart:
    """One line. `paths`: `d` of each unbroken piece; all places in per cent from the left and from the top."""

    paths: tuple[str, ...]
    last: float
    end_y: float
    limit_y: float | None
    first_at: datetime
    last_at: datetime


def sparks(
    histories: Mapping[str, Sequence[tuple[datetime, int | None]]], sessions: Sequence[Session]
) -> dict[str, Chart]:
    """Return a line of each session's memory against its limit, where there is one to draw."""
    drawn = {one.id: draw(histories.get(one.id, []), limit=one.resources.memory) for one in sessions}
    return {session_id: chart for session_id, chart in drawn.items() if chart is not None}


def draw(
    points: Sequence[tuple[datetime, float | None]],
    *,
    limit: float | None,
    span: timedelta | None = None,
    gap: timedelta = _GAP,
) -> Chart | None:
    """Return the chart of at least two known points, oldest first; None where there are fewer.

    `span`: the time that the width stands for, ending with the last point; left out: what the points cover.
    `gap`: points that lie farther apart are not joined.
    """
    known = [(at, value) for at, value in points if value is not None]
    if span is not None and known:
        known = [(at, value) for at, value in known if at >= known[-1][0] - span]
    if len(known) < 2:
        return None
    first, last = known[0][0], known[-1][0]
    top = max([value for _, value in known] + [limit or 0.0]) * _HEADROOM or 1.0

    def height(value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * value / top, 2)

    width = (last - first).total_seconds() or 1.0
    paths: list[str] = []
    before: datetime | None = None
    for at, value in known:
        place = f"{round((at - first).total_seconds() / width * 100, 2):g} {height(value):g}"
        if before is None or at - before > gap:
            paths.append(f"M{place}")
        else:
            paths[-1] += f"L{place}"
        before = at
    return Chart(tuple(paths), known[-1][1], height(known[-1][1]), height(limit) if limit else None, first, last)
