"""Waiting for what comes at its own time: a condition with a bound, and words for what did not come."""

import asyncio
import contextlib
import inspect
import time
from collections.abc import Callable
from threading import Event
from typing import Any

import psutil

from studiolo.engines.base import Engine, Handle, Observation, Phase

# What comes at all comes sooner, also where many tests share few processors.
PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.02


def wait_for(check: Callable[[], Any], what: str = "the condition", seconds: float = PATIENCE_SECONDS) -> Any:
    """Look until `check` returns something true, and return it. Raises AssertionError with `what` after `seconds`."""
    until, pause = time.monotonic() + seconds, Event()
    while not (found := check()):
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        pause.wait(_PAUSE_SECONDS)
    return found


async def eventually(check: Callable[[], Any], what: str = "the condition", seconds: float = PATIENCE_SECONDS) -> Any:
    """Do as `wait_for` does, and let the event loop go on; `check` may return an awaitable."""
    until = time.monotonic() + seconds
    while True:
        found = check()
        if inspect.isawaitable(found):
            async with asyncio.timeout(seconds):
                found = await found
        if found:
            return found
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        await asyncio.sleep(_PAUSE_SECONDS)


def is_gone(process: psutil.Process) -> bool:
    """Tell whether a process has ended, also where nobody has asked how yet."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


async def settle(engine: Engine, handle: Handle, *phases: Phase, seconds: float = PATIENCE_SECONDS) -> Observation:
    """Observe until one of `phases` is seen. Raises AssertionError, which tells what was seen last."""
    until = time.monotonic() + seconds
    while (seen := await engine.observe(handle)).phase not in phases:
        assert time.monotonic() < until, f"not {' or '.join(phases)} within {seconds} s: {seen}"
        await asyncio.sleep(_PAUSE_SECONDS)
    return seen
