"""Calls to engines end in time: one that hangs costs its own sessions, nobody else's. What they say fits a page."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Engine, Handle, Observation

# Seconds. The interface has each call return within seconds; beyond these it is taken for one that hangs.
START_SECONDS = 30.0
OBSERVE_SECONDS = 10.0
FRONT_SECONDS = 10.0
STOP_SECONDS = 30.0
LOG_SECONDS = 3.0
MEASURE_SECONDS = 1.0
SWEEP_SECONDS = 60.0
# Characters of what an engine says of a workload: a pod may have 64 KiB to say, which rows, pages and records repeat.
MOST_WORDS = 500
Answer = TypeVar("Answer")


async def within(seconds: float, engine: str, call: Awaitable[Answer]) -> Answer:
    """Return what the engine answers; raises Unavailable (`engine-unavailable`) after `seconds`, beside its own."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await call
    except TimeoutError as exc:
        if not limit.expired():
            raise
        raise Unavailable(
            "engine-unavailable",
            f"The engine {engine} did not answer within {seconds:g} s.",
            hint="It is asked again by itself; studiolo engines shows how it is.",
        ) from exc


async def observe(engine: Engine, handle: Handle) -> Observation:
    """Return what the engine sees, its words clipped; what a workload wrote is whole in its log. Raises as `within`."""
    seen = await within(OBSERVE_SECONDS, engine.name, engine.observe(handle))
    if seen.message is not None:
        seen = replace(seen, message=_clipped(seen.message))
    if seen.exit is not None:
        seen = replace(seen, exit=replace(seen.exit, message=_clipped(seen.exit.message)))
    return seen


def _clipped(text: str) -> str:
    return text if len(text) <= MOST_WORDS else f"{text[: MOST_WORDS - 1].rstrip()}…"
