"""What workloads use is told, and what they may use is held to: measured from inside."""

import asyncio

import pytest

from studiolo.engines.base import Death, Handle, Limits, Measures, Observation, Phase
from studiolo.testing.engine_contract.case import EngineCase, Run, describe, end, start_ready

__all__ = [
    "test_a_kernel_that_takes_too_much_memory_is_told_and_the_workload_goes_on_or_ends_for_that_reason",
    "test_a_machine_says_how_it_limits",
    "test_a_running_workload_is_measured_and_an_ended_one_is_not",
    "test_a_workload_gets_no_more_processes_than_it_may",
    "test_a_workload_gets_no_more_processor_time_than_it_may",
]

_MEMORY = 256 * 1024**2
_KINDS = {"cgroup-v1", "cgroup-v2", "rlimit", "engine", "none"}
# Those that hold a workload as a whole.
_WHOLE = {"cgroup-v1", "cgroup-v2", "engine"}


async def test_a_machine_says_how_it_limits(case: EngineCase) -> None:
    machine = await describe(case)
    assert {machine.cpu_limits, machine.memory_limits, machine.process_limits} <= _KINDS
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
    run = _runner(case, (await describe(case)).process_limits)
    _, handle = await start_ready(case, Limits(processes=120))
    made = int(await run(handle, _FORK_500))
    assert 0 < made < 120
    assert (await case.engine.observe(handle)).phase is Phase.READY
    await end(case, handle)


async def test_a_workload_gets_no_more_processor_time_than_it_may(case: EngineCase) -> None:
    run = _runner(case, (await describe(case)).cpu_limits)
    limit = 1.0 if case.whole_processors else 0.5
    _, handle = await start_ready(case, Limits(cpu=limit))
    assert float(await run(handle, _SPEND_ON_TWO_PROCESSORS)) < limit * 1.5
    await end(case, handle)


async def test_a_kernel_that_takes_too_much_memory_is_told_and_the_workload_goes_on_or_ends_for_that_reason(
    case: EngineCase,
) -> None:
    run = _runner(case, (await describe(case)).memory_limits)
    _, handle = await start_ready(case, Limits(memory=_MEMORY))
    taking = asyncio.ensure_future(run(handle, "held = b'x' * (800 << 20)"))
    try:
        deaths, seen = await _see_death(case, handle)
    finally:
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
    if seen.phase is Phase.ENDED:
        # Some systems end all of a container or job together.
        assert seen.exit is not None
        assert seen.exit.reason == "out-of-memory"
        return
    assert seen.phase is Phase.READY
    assert deaths[0].what in {"kernel", "processes"}
    assert deaths[0].limit == _MEMORY
    await end(case, handle)


async def _see_death(case: EngineCase, handle: Handle) -> tuple[tuple[Death, ...], Observation]:
    async with asyncio.timeout(case.patience_seconds):
        while True:
            deaths, seen = await _list_deaths(case, handle), await case.engine.observe(handle)
            if deaths or seen.phase is Phase.ENDED:
                return deaths, seen
            await asyncio.sleep(0.02)


async def _list_deaths(case: EngineCase, handle: Handle) -> tuple[Death, ...]:
    used = await case.engine.measure(handle) if isinstance(case.engine, Measures) else None
    return used.deaths if used else ()


def _runner(case: EngineCase, kind: str) -> Run:
    if kind not in _WHOLE:
        pytest.skip(f"the engine holds no workload as a whole to this limit here (it says: {kind})")
    if case.run is None:
        pytest.skip("the engine's workloads have no kernels")
    return case.run


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
def spent():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
begun, before = time.monotonic(), spent()
for child in [subprocess.Popen([sys.executable, "-S", "-c", program]) for _ in range(2)]:
    child.wait()
print((spent() - before) / (time.monotonic() - begun))
"""
