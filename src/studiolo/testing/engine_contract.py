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

import pytest

from studiolo.engines.base import (
    Death,
    Engine,
    Handle,
    Limits,
    Logs,
    Machine,
    Measures,
    Observation,
    Phase,
    Sweeps,
    Watches,
    WorkloadSpec,
)

__all__ = [
    "test_a_crash_is_seen_with_a_reason",
    "test_a_kernel_that_takes_too_much_memory_is_told_and_the_workload_goes_on",
    "test_a_launch_number_is_used_once",
    "test_a_machine_says_how_it_limits",
    "test_a_running_workload_is_measured_and_an_ended_one_is_not",
    "test_a_second_launch_is_another_workload",
    "test_a_started_workload_becomes_ready_and_has_an_upstream",
    "test_a_watch_tells_of_the_end_and_finishes",
    "test_a_workload_gets_no_more_processes_than_it_may",
    "test_a_workload_gets_no_more_processor_time_than_it_may",
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
    that was never started. `crash` kills a ready workload without asking it. `run` runs Python code in a kernel of a
    ready workload and returns what it printed, or anything when that kernel died; None: there are no kernels, and
    limits cannot be measured from inside. `patience_seconds` is how long a start or a stop may take.
    """

    engine: Engine
    make_spec: Callable[[], WorkloadSpec]
    unknown_handle: Callable[[], Handle]
    crash: Callable[[Handle], Awaitable[None]]
    patience_seconds: float = 30.0
    run: Callable[[Handle, str], Awaitable[str]] | None = None


async def settle(case: EngineCase, handle: Handle, *phases: Phase) -> Observation:
    """Observe until one of `phases` is seen; raises TimeoutError after the case's patience."""
    async with asyncio.timeout(case.patience_seconds):
        while (seen := await case.engine.observe(handle)).phase not in phases:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return seen


async def start_ready(case: EngineCase, limits: Limits | None = None) -> tuple[WorkloadSpec, Handle]:
    """Start a fresh workload and wait until it is ready."""
    spec = replace(case.make_spec(), limits=limits or Limits())
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


async def test_a_machine_says_how_it_limits(case: EngineCase) -> None:
    machine = await _describe(case)
    kinds = {machine.cpu_limits, machine.memory_limits, machine.process_limits}
    assert kinds <= {"cgroup-v1", "cgroup-v2", "rlimit", "none"}
    assert machine.cpu is None or machine.cpu > 0
    assert machine.memory is None or machine.memory > 0


async def test_a_running_workload_is_measured_and_an_ended_one_is_not(case: EngineCase) -> None:
    if not isinstance(case.engine, Measures):
        pytest.skip("the engine does not measure")
    _, handle = await start_ready(case)
    used = await case.engine.measure(handle)
    assert used is not None
    assert used.at.tzinfo is not None
    assert used.deaths == ()
    assert all(number is None or number >= 0 for number in (used.cpu_seconds, used.memory, used.processes))
    await end(case, handle)
    assert await case.engine.measure(handle) is None
    assert await case.engine.measure(case.unknown_handle()) is None


async def test_a_workload_gets_no_more_processes_than_it_may(case: EngineCase) -> None:
    run = _runner(case, (await _describe(case)).process_limits)
    _, handle = await start_ready(case, Limits(processes=120))
    made = int(await run(handle, _FORK_500))
    assert 0 < made < 120
    assert (await case.engine.observe(handle)).phase is Phase.READY
    await end(case, handle)


async def test_a_workload_gets_no_more_processor_time_than_it_may(case: EngineCase) -> None:
    run = _runner(case, (await _describe(case)).cpu_limits)
    _, handle = await start_ready(case, Limits(cpu=0.5))
    assert float(await run(handle, _SPEND_ON_TWO_PROCESSORS)) < 0.75
    await end(case, handle)


async def test_a_kernel_that_takes_too_much_memory_is_told_and_the_workload_goes_on(case: EngineCase) -> None:
    run = _runner(case, (await _describe(case)).memory_limits)
    _, handle = await start_ready(case, Limits(memory=200 * 1024**2))
    taking = asyncio.ensure_future(run(handle, "held = b'x' * (800 << 20)"))
    async with asyncio.timeout(case.patience_seconds):
        while not (deaths := await _list_deaths(case, handle)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert deaths[0].what in {"kernel", "processes"}
    assert deaths[0].limit == 200 * 1024**2
    assert (await case.engine.observe(handle)).phase is Phase.READY
    taking.cancel()
    await end(case, handle)


_FORK_500 = """
import os, signal
made = []
try:
    for _ in range(500):
        child = os.fork()
        if child == 0:
            signal.pause()
        made.append(child)
except BlockingIOError:
    pass
for child in made:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(len(made))
"""

# Prints processor seconds per second. A machine that is busy gives less, never more.
_SPEND_ON_TWO_PROCESSORS = """
import subprocess, sys, time, resource
program = "import time\\nwhile time.process_time() < 0.5: pass"
begun = time.monotonic()
for child in [subprocess.Popen([sys.executable, "-S", "-c", program]) for _ in range(2)]:
    child.wait()
spent = resource.getrusage(resource.RUSAGE_CHILDREN)
print((spent.ru_utime + spent.ru_stime) / (time.monotonic() - begun))
"""


async def _describe(case: EngineCase) -> Machine:
    if not isinstance(case.engine, Measures):
        pytest.skip("the engine does not measure")
    return await case.engine.describe()


def _runner(case: EngineCase, kind: str) -> Callable[[Handle, str], Awaitable[str]]:
    if not kind.startswith("cgroup"):
        pytest.skip(f"the engine holds no workload as a whole to this limit here (it says: {kind})")
    if case.run is None:
        pytest.skip("the engine's workloads have no kernels")
    return case.run


async def _list_deaths(case: EngineCase, handle: Handle) -> tuple[Death, ...]:
    used = await case.engine.measure(handle) if isinstance(case.engine, Measures) else None
    return used.deaths if used else ()
