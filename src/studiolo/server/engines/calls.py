"""Calls to engines end in time: one that hangs costs its own sessions, nobody else's."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from studiolo.contract.errors import Unavailable

# Seconds. The interface has each call return within seconds; beyond these it is taken for one that hangs.
START_SECONDS = 30.0
OBSERVE_SECONDS = 10.0
FRONT_SECONDS = 10.0
STOP_SECONDS = 30.0
LOG_SECONDS = 3.0
MEASURE_SECONDS = 1.0
SWEEP_SECONDS = 60.0
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
