"""How quick and how small local sessions are; prints numbers (`pytest -s -m engine`), asserts only that they work."""

import asyncio
from datetime import timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest

from studiolo.engines.base import Handle, Phase
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.testing.fixtures import LocalBench

pytestmark = pytest.mark.engine


async def _launch(bench: LocalBench) -> tuple[Handle, float]:
    """Start a session and get its /lab; returns the handle and the seconds that it took."""
    begun = perf_counter()
    handle = await bench.engine.start(bench.spec())
    async for _ in bench.engine.watch(handle):
        if (await bench.engine.observe(handle)).phase is not Phase.STARTING:
            break
    async with bench.client(handle).http("login") as http:
        assert (await http.get("lab")).status_code == 200
    return handle, perf_counter() - begun


async def _end(bench: LocalBench, *handles: Handle) -> float:
    """Stop sessions; returns the seconds until all have ended."""
    begun = perf_counter()
    for handle in handles:
        await bench.engine.stop(handle, grace=timedelta(seconds=10))
    for handle in handles:
        await bench.settle(handle, Phase.ENDED)
    return perf_counter() - begun


def _pss_mib(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.split("Pss:")[1].split()[0]) / 1024


def _print_memory(bench: LocalBench, handles: list[Handle]) -> None:
    shims, sessions = [], []
    for handle in handles:
        known = read_json(LaunchFiles(bench.files(handle)).shim)
        assert known is not None
        shims.append(_pss_mib(known["pid"]))
        sessions.append(_pss_mib(known["session_pid"]))
    print(
        f"\n{len(handles)} idle: {median(shims) + median(sessions):.0f} MiB PSS each "
        f"(shim {median(shims):.0f}, server {median(sessions):.0f})"
    )


async def test_a_launch_alone(bench: LocalBench) -> None:
    seconds = []
    for _ in range(20):
        handle, taken = await _launch(bench)
        seconds.append(taken)
        await _end(bench, handle)
    print(f"\nstart to /lab 200: median {median(seconds) * 1000:.0f} ms, worst {max(seconds) * 1000:.0f} ms of 20")


async def test_ten_launches_at_once(bench: LocalBench) -> None:
    begun = perf_counter()
    launched = await asyncio.gather(*(_launch(bench) for _ in range(10)))
    taken = perf_counter() - begun
    handles = [handle for handle, _ in launched]
    _print_memory(bench, handles)
    print(f"ten at once: {taken * 1000:.0f} ms; stopped in {await _end(bench, *handles) * 1000:.0f} ms")


async def test_the_memory_of_one(bench: LocalBench) -> None:
    handle, _ = await _launch(bench)
    _print_memory(bench, [handle])
    kernel_id = await bench.client(handle).start_kernel()
    assert await bench.client(handle).run(kernel_id, "print(1)") == "1\n"
    print(f"stop with an idle kernel: {await _end(bench, handle) * 1000:.0f} ms")
