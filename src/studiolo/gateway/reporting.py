"""When the authority is told of all kernels: at once of what people act on, seldom of mere output. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

# A kernel that floods changes these with each message; others need not pay for it every second.
_PASSING = frozenset({"output", "last_active_at"})
_PASSING_SECONDS = 10.0
_SECONDS = 60.0

Report = Sequence[Mapping[str, Any]]


class Reporting:
    """Compares each report with the last one that was taken. `now`: monotonic seconds."""

    def __init__(self) -> None:
        self._told: Report | None = None
        self._told_at = 0.0

    def is_due(self, report: Report, now: float) -> bool:
        """Tell whether this report is to be sent."""
        if self._told is None or _lasting(report) != _lasting(self._told):
            return True
        return now - self._told_at >= (_SECONDS if report == self._told else _PASSING_SECONDS)

    def was_told(self, report: Report, now: float) -> None:
        """Note that a report was taken."""
        self._told, self._told_at = report, now


def _lasting(report: Report) -> list[dict[str, Any]]:
    return [{name: value for name, value in kernel.items() if name not in _PASSING} for kernel in report]
