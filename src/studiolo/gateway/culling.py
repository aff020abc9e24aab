"""When a kernel that nobody uses is ended: pure, but for what it remembers of each.

Only time that this host has seen pass counts, on the monotonic clock: neither a restart nor a changed clock ends
anything. A busy kernel is never ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from studiolo.gateway.base import KernelState
from studiolo.gateway.settings import HostSettings


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of a kernel. `has_unread`: output that no client was ever sent."""

    id: str
    is_of_session: bool
    state: KernelState
    connections: int
    last_active_at: datetime
    has_unread: bool


class Culling:
    """Decides, look by look, which kernels have been idle for long enough."""

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        # By kernel: what was seen last, and since when it has looked like this.
        self._known: dict[str, tuple[Seen, float]] = {}

    def decide(self, seen: Sequence[Seen], now: float) -> list[str]:
        """Return the ids of the kernels to end. `now`: monotonic seconds, not decreasing."""
        known = {one.id: (one, self._since(one, now)) for one in seen}
        self._known = known
        return [one.id for one, since in known.values() if self._is_due(one, now - since)]

    def _since(self, one: Seen, now: float) -> float:
        before, since = self._known.get(one.id, (None, now))
        return since if before == one else now

    def _is_due(self, one: Seen, idle_seconds: float) -> bool:
        settings = self._settings
        if settings.cull_idle is None or (one.is_of_session and not settings.cull_sessions):
            return False
        if one.state not in (KernelState.IDLE, KernelState.STARTING, KernelState.UNKNOWN):
            return False
        if one.connections and not settings.cull_connected:
            return False
        kept = max(settings.cull_idle, settings.keep_unread) if one.has_unread else settings.cull_idle
        return idle_seconds >= kept
