"""What the local engine says of its machine, and what holds where no control groups can be made."""

import asyncio
import os
from pathlib import Path

import pytest

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Engine, Limits, Measures, Phase
from studiolo.runtime import cgroups
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.testing.fixtures import LocalBench

MIB = 1024**2


@pytest.fixture
def without_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose control groups are not ours to use."""
    monkeypatch.setattr(cgroups, "find_places", lambda name: {})


async def test_it_measures_and_describes_its_machine(bench: LocalBench) -> None:
    engine: Engine = bench.engine
    assert isinstance(engine, Measures)
    machine = await engine.describe()
    assert machine.cpu is not None
    assert 0 < machine.cpu <= (os.cpu_count() or 1)
    assert machine.memory is not None
    assert 64 * MIB < machine.memory <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


async def test_a_machine_of_ours_without_groups_says_so(bench: LocalBench, without_groups: None) -> None:
    machine = await bench.engine.describe()
    assert (machine.cpu_limits, machine.memory_limits) == ("none", "rlimit")
    assert machine.process_limits == ("none" if os.geteuid() == 0 else "rlimit")


async def test_without_groups_a_cell_gets_a_memory_error_and_its_kernel_goes_on(
    bench: LocalBench, without_groups: None
) -> None:
    handle = await bench.start_ready(limits=Limits(cpu=1, memory=600 * MIB, processes=100))
    client = bench.client(handle)
    kernel_id = await client.start_kernel()
    await client.run(kernel_id, "held = b'x' * (700 << 20)")
    assert await client.run(kernel_id, "print('held' in globals())") == "False\n"
    assert (await bench.engine.observe(handle)).phase is Phase.READY


@pytest.mark.parametrize("bench", ["fork", "spawn"], indirect=True)
async def test_without_groups_usage_is_summed_up(bench: LocalBench, without_groups: None) -> None:
    handle = await bench.start_ready()
    await bench.client(handle).start_kernel()
    async with asyncio.timeout(10):
        while (used := await bench.engine.measure(handle)) is None or (used.processes or 0) < 2:
            await asyncio.sleep(0.1)
    assert used.memory is not None
    assert used.memory > 20 * MIB
    assert used.cpu_seconds is not None
    assert used.memory_peak is None


async def test_a_group_that_cannot_be_made_refuses_the_launch_and_says_so(
    bench: LocalBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "find_places", lambda name: {"memory": Path("/proc/nowhere")})
    with pytest.raises(Unavailable) as refusal:
        await bench.engine.start(bench.spec())
    assert refusal.value.code == "engine-unavailable"


async def test_kernels_and_terminals_go_before_the_server_when_memory_runs_out(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    client = bench.client(handle)
    kernel_id = await client.start_kernel()
    inside = "import os; print(*[open(f'/proc/{pid}/oom_score_adj').read().strip() for pid in ('self', os.getppid())])"
    kernel, server = map(int, (await client.run(kernel_id, inside)).split())
    known = read_json(LaunchFiles(bench.files(handle)).shim)
    assert known is not None
    shim = int(Path(f"/proc/{known['pid']}/oom_score_adj").read_text())
    assert shim < server < kernel
    async with client.http() as http:
        (await http.post("api/terminals")).raise_for_status()
    parts = read_json(LaunchFiles(bench.files(handle)).parts) or {}
    async with asyncio.timeout(10):
        while not (shells := [part for part in parts.get("parts", []) if part[2] == "terminal"]):
            await asyncio.sleep(0.05)
            parts = read_json(LaunchFiles(bench.files(handle)).parts) or {}
    assert shells[0][3] == "1"
    assert int(Path(f"/proc/{shells[0][0]}/oom_score_adj").read_text()) == kernel
