"""The suite that every engine passes.

In a test module, give a fixture `case` that returns an EngineCase, and import all from here:

    from studiolo.testing.engine_contract import *  # noqa: F403

The functions are coroutines: run pytest-asyncio in auto mode.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from studiolo.engines.base import Engine, Handle, Logs, Observation, Phase, Sweeps, Watches, WorkloadSpec

__all__ = [
    "test_a_crash_is_seen_with_a_reason",
    "test_a_launch_number_is_used_once",
    "test_a_second_launch_is_another_workload",
    "test_a_started_workload_becomes_ready_and_has_an_upstream",
    "test_a_watch_tells_of_the_end_and_finishes",
    "test_handles_are_json_and_hold_no_secret",
    "test_observing_a_launch_that_never_was_says_vanished",
    "test_racing_starts_make_one_workload",
    "test_starting_again_doubles_nothing",
    "test_stop_ends_the_workload_with_the_reason_stopped",
    "test_stop_of_a_vanished_workload_succeeds",
    "test_stopping_twice_succeeds",
    "test_sweep_ends_what_is_not_wanted_and_nothing_else",
    "test_tail_returns_at_most_the_lines_asked_for",
]

GRACE = timedelta(seconds=5)


@dataclass(frozen=True)
class EngineCase:
    """An engine under test.

    `make_spec` returns a spec with a workload id not used before, `unknown_handle` a handle of such a workload
    that was never started. `crash` kills a ready workload without asking it. `patience_seconds` is how long a
    start or a stop may take.
    """

    engine: Engine
    make_spec: Callable[[], WorkloadSpec]
    unknown_handle: Callable[[], Handle]
    crash: Callable[[Handle], Awaitable[None]]
    patience_seconds: float = 30.0


async def settle(case: EngineCase, handle: Handle, *phases: Phase) -> Observation:
    """Observe until one of `phases` is seen; raises TimeoutError after the case's patience."""
    async with asyncio.timeout(case.patience_seconds):
        while (seen := await case.engine.observe(handle)).phase not in phases:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return seen


async def start_ready(case: EngineCase) -> tuple[WorkloadSpec, Handle]:
    """Start a fresh workload and wait until it is ready."""
    spec = case.make_spec()
    handle = await case.engine.start(spec)
    seen = await settle(case, handle, Phase.READY, Phase.ENDED)
    assert seen.phase is Phase.READY, seen
    return spec, handle


async def end(case: EngineCase, handle: Handle) -> Observation:
    """Stop a workload and wait for its end."""
    await case.engine.stop(handle, grace=GRACE)
    return await settle(case, handle, Phase.ENDED)


async def test_a_started_workload_becomes_ready_and_has_an_upstream(case: EngineCase) -> None:
    _, handle = await start_ready(case)
    seen = await case.engine.observe(handle)
    assert seen.upstream
    assert seen.exit is None
    await end(case, handle)


async def test_handles_are_json_and_hold_no_secret(case: EngineCase) -> None:
    spec = replace(case.make_spec(), secret="s3cret-of-the-launch", api_key="key-of-the-session")  # noqa: S106
    handle = await case.engine.start(spec)
    text = json.dumps(handle)
    assert json.loads(text) == handle
    assert spec.secret not in text
    assert spec.api_key not in text
    await end(case, handle)


async def test_starting_again_doubles_nothing(case: EngineCase) -> None:
    spec, handle = await start_ready(case)
    assert await case.engine.start(spec) == handle
    assert (await case.engine.observe(handle)).phase is Phase.READY
    await end(case, handle)


async def test_racing_starts_make_one_workload(case: EngineCase) -> None:
    spec = case.make_spec()
    handles = await asyncio.gather(*(case.engine.start(spec) for _ in range(4)))
    assert all(handle == handles[0] for handle in handles)
    await settle(case, handles[0], Phase.READY)
    await end(case, handles[0])


async def test_a_launch_number_is_used_once(case: EngineCase) -> None:
    spec, handle = await start_ready(case)
    await end(case, handle)
    again = await case.engine.start(spec)
    assert (await case.engine.observe(again)).phase is Phase.ENDED


async def test_a_second_launch_is_another_workload(case: EngineCase) -> None:
    spec, first = await start_ready(case)
    second = await case.engine.start(replace(spec, launch=spec.launch + 1))
    await end(case, first)
    await settle(case, second, Phase.READY)
    await end(case, second)


async def test_stop_ends_the_workload_with_the_reason_stopped(case: EngineCase) -> None:
    _, handle = await start_ready(case)
    seen = await end(case, handle)
    assert seen.upstream is None
    assert seen.exit is not None
    assert seen.exit.reason == "stopped"
    assert seen.exit.message.endswith(".")
    assert seen.exit.at.tzinfo is not None


async def test_stopping_twice_succeeds(case: EngineCase) -> None:
    _, handle = await start_ready(case)
    await case.engine.stop(handle, grace=GRACE)
    first = await end(case, handle)
    await case.engine.stop(handle, grace=GRACE)
    assert await case.engine.observe(handle) == first


async def test_stop_of_a_vanished_workload_succeeds(case: EngineCase) -> None:
    await case.engine.stop(case.unknown_handle(), grace=GRACE)


async def test_observing_a_launch_that_never_was_says_vanished(case: EngineCase) -> None:
    # A workload beside it shows that the engine itself can be asked.
    _, other = await start_ready(case)
    seen = await case.engine.observe(case.unknown_handle())
    assert seen.phase is Phase.ENDED
    assert seen.exit is not None
    assert seen.exit.reason == "vanished"
    await end(case, other)


async def test_a_crash_is_seen_with_a_reason(case: EngineCase) -> None:
    _, handle = await start_ready(case)
    await case.crash(handle)
    seen = await settle(case, handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason in {"killed", "out-of-memory", "server-exited", "vanished"}
    assert seen.exit.message.endswith(".")


async def test_a_watch_tells_of_the_end_and_finishes(case: EngineCase) -> None:
    if not isinstance(case.engine, Watches):
        return
    _, handle = await start_ready(case)
    seen: list[Phase] = []

    async def watch(engine: Watches) -> None:
        async for _ in engine.watch(handle):
            seen.append((await case.engine.observe(handle)).phase)

    async with asyncio.timeout(case.patience_seconds), asyncio.TaskGroup() as tasks:
        tasks.create_task(watch(case.engine))
        await case.engine.stop(handle, grace=GRACE)
    assert seen[-1] is Phase.ENDED


async def test_tail_returns_at_most_the_lines_asked_for(case: EngineCase) -> None:
    if not isinstance(case.engine, Logs):
        return
    _, handle = await start_ready(case)
    assert len(await case.engine.tail(handle, lines=1)) == 1
    assert await case.engine.tail(handle, lines=0) == []
    await end(case, handle)


async def test_sweep_ends_what_is_not_wanted_and_nothing_else(case: EngineCase) -> None:
    if not isinstance(case.engine, Sweeps):
        return
    wanted, kept = await start_ready(case)
    _, unwanted = await start_ready(case)

    async def ask_wanted() -> set[tuple[str, int]]:
        return {(wanted.workload_id, wanted.launch)}

    swept = await case.engine.sweep(ask_wanted)
    assert len(swept) == 1
    await settle(case, unwanted, Phase.ENDED)
    assert (await case.engine.observe(kept)).phase is Phase.READY
    await end(case, kept)
