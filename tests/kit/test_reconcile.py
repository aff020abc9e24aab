"""The runner of reconcilers stops when it is told to."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from studiolo.kit.reconcile import Runner


async def test_it_stops_when_a_hint_comes_in_the_same_moment() -> None:
    swept = asyncio.Event()

    async def due() -> Iterable[str]:
        swept.set()
        return []

    async def step(key: str) -> timedelta | None:
        raise AssertionError(key)

    runner = Runner("test", step=step, due=due, sweep_every=timedelta(hours=1))
    running = asyncio.create_task(runner.run())
    await swept.wait()
    # It waits for a hint now. asyncio.wait_for lost the cancellation that came with one, and it ran on for ever.
    await asyncio.sleep(0)
    runner.look()
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5)
    assert done == {running}


async def test_steps_that_hang_hold_up_their_own_lane_alone() -> None:
    done = asyncio.Event()

    async def due() -> Iterable[str]:
        return ["stuck 1", "stuck 2", "stuck 3", "free"]

    async def step(key: str) -> timedelta | None:
        if key == "free":
            done.set()
        else:
            await asyncio.Event().wait()
        return None

    runner = Runner("test", step=step, due=due, concurrency=1, lane=lambda key: key.split()[0])
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(30):
        await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
