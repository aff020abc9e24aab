"""What a kernel does, as far as its messages tell: busy or idle, since when, and what people have not seen."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from studiolo.gateway.base import KernelState

# What people see, and what counts as unread.
VISIBLE = frozenset(("stream", "display_data", "update_display_data", "execute_result", "error", "clear_output"))


class Activity:
    """A kernel's state. `on_change` is called when it becomes another.

    `busy_since`, `last_message_at`: seconds of the monotonic clock. `last_activity`: aware UTC. `last_visible`: number
    of the last message that people see.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._running: set[str] = set()
        self.state = KernelState.STARTING
        self.busy_since: float | None = None
        self.last_message_at = time.monotonic()
        self.last_activity = datetime.now(UTC)
        self.last_visible = 0
        # Until another process has taken its place, whatever the old one still says.
        self.is_restarting = False

    def touch(self) -> None:
        """Note that something was said or sent."""
        self.last_message_at = time.monotonic()
        self.last_activity = datetime.now(UTC)

    def begin(self, request: str) -> None:
        """Note that a request is being worked on. Several may be: control is answered beside a cell."""
        self._running.add(request)
        self.busy_since = self.busy_since or time.monotonic()
        self.become(KernelState.BUSY)

    def finish(self, request: str) -> None:
        """Note that a request is done."""
        self._running.discard(request)
        if not self._running:
            self.busy_since = None
            self.become(KernelState.IDLE)

    def become(self, state: KernelState) -> None:
        """Take another state."""
        is_overtaken = self.is_restarting and state is not KernelState.RESTARTING
        if state is not self.state and not is_overtaken:
            self.state = state
            self._on_change()

    def renew(self) -> None:
        """Begin again: another process."""
        self._running.clear()
        self.busy_since = None
        self.is_restarting = False

    def is_quiet(self, seconds: float) -> bool:
        """Tell whether it is idle and has said and been sent nothing for a while."""
        return not self._running and time.monotonic() - self.last_message_at > seconds
