"""Waiting for a condition, with a bound."""

import threading
import time
from collections.abc import Callable


def until(condition: Callable[[], object], *, seconds: float = 60) -> None:
    """Return when the condition holds. Raises AssertionError if it does not in time."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold in time"
        pause.wait(0.02)
