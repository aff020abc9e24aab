"""Real sessions that run out of real memory: who died is told in time, and told apart."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import WebSocketException

from studiolo.engines.base import Death, Handle, Limits, Phase
from studiolo.engines.local.engine import LocalEngine
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.runtime.parts import read_parts
from studiolo.testing.fixtures import LocalBench
from studiolo.testing.local import SessionClient, execute

MIB = 1024**2
LIMIT = 200 * MIB
# The promise to people; the clock starts when the kernel's process is gone.
WITHIN_SECONDS = 5
TAKE_TOO_MUCH = f"held = b'x' * {4 * LIMIT}"


@pytest.fixture(autouse=True)
async def memory_groups(bench: LocalBench) -> None:
    """Without a memory controller nothing here can be seen; the reason is told."""
    machine = await bench.engine.describe()
    if not machine.memory_limits.startswith("cgroup"):
        pytest.skip(f"this machine limits memory by {machine.memory_limits}")


async def _start(bench: LocalBench) -> tuple[Handle, SessionClient, str]:
    """Start a session of LIMIT with a kernel that the shim has heard of."""
    handle = await bench.start_ready(limits=Limits(cpu=2, memory=LIMIT, processes=256))
    client = bench.client(handle)
    kernel_id = await client.start_kernel("data/work.ipynb")
    assert await client.run(kernel_id, "print(1)") == "1\n"
    parts = LaunchFiles(bench.files(handle)).parts
    async with asyncio.timeout(10):
        while not any(part.name for part in read_parts(parts)):
            await asyncio.sleep(0.02)
    return handle, client, kernel_id


@asynccontextmanager
async def _cell(client: SessionClient, kernel_id: str, code: str) -> AsyncIterator[None]:
    """Have a cell run that may take its kernel with it."""
    async with client.channels(kernel_id) as connection:
        cell = asyncio.create_task(execute(connection, code))
        yield
        cell.cancel()


async def _answers(client: SessionClient, kernel_id: str) -> bool:
    try:
        async with client.channels(kernel_id) as connection:
            return await execute(connection, "print('again')", within=5) == "again\n"
    except (TimeoutError, WebSocketException):
        return False


async def _deaths(bench: LocalBench, handle: Handle) -> tuple[Death, ...]:
    used = await bench.engine.measure(handle)
    return used.deaths if used else ()


async def _told(bench: LocalBench, handle: Handle, count: int = 1) -> list[Death]:
    """Wait until so many deaths are told."""
    async with asyncio.timeout(30):
        while len(found := await _deaths(bench, handle)) < count:
            await asyncio.sleep(0.02)
    return list(found)


@pytest.mark.parametrize("bench", ["fork", "spawn"], indirect=True)
async def test_a_kernel_that_takes_too_much_is_named_and_the_session_goes_on(bench: LocalBench) -> None:
    handle, client, kernel_id = await _start(bench)
    pid = int(await client.run(kernel_id, "import os; print(os.getpid())"))
    async with _cell(client, kernel_id, TAKE_TOO_MUCH):
        (death,) = await _told(bench, handle)
    assert (death.what, death.name, death.pid) == ("kernel", "data/work.ipynb", pid)
    assert death.limit == LIMIT
    assert death.peak is not None
    assert 0.95 * LIMIT <= death.peak <= LIMIT
    assert (await bench.engine.observe(handle)).phase is Phase.READY
    # The server restarts the kernel under its old id; what is asked in that moment may never be answered.
    async with asyncio.timeout(60):
        while not await _answers(client, kernel_id):
            await asyncio.sleep(0.1)


async def test_a_death_wakes_the_watch_within_seconds(bench: LocalBench) -> None:
    handle, client, kernel_id = await _start(bench)
    pid = int(await client.run(kernel_id, "import os; print(os.getpid())"))
    clock = asyncio.get_running_loop().time
    gone = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    asyncio.get_running_loop().add_reader(descriptor, gone.set)
    async with _cell(client, kernel_id, TAKE_TOO_MUCH):
        watching = asyncio.create_task(_watch_for_death(bench, handle, bench.engine))
        await gone.wait()
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        died_at = clock()
        await watching
    assert clock() - died_at < WITHIN_SECONDS


async def test_a_control_plane_that_came_later_is_woken_too(bench: LocalBench) -> None:
    handle, client, kernel_id = await _start(bench)
    later = LocalEngine(data_dir=bench.data_dir, session_sockets=bench.sockets, fork_server_socket=Path("/nonexistent"))
    async with _cell(client, kernel_id, TAKE_TOO_MUCH):
        await _watch_for_death(bench, handle, later)


async def _watch_for_death(bench: LocalBench, handle: Handle, engine: LocalEngine) -> None:
    async with asyncio.timeout(30):
        async for _ in engine.watch(handle):
            if await _deaths(bench, handle):
                return


WORKERS = f"""
import os, subprocess, sys
program = "held = b'x' * {LIMIT * 3 // 5}; input()"
workers = [subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) for _ in range(3)]
print(os.WTERMSIG(os.wait()[1]))
for worker in workers:
    worker.kill()
"""


async def test_many_processes_together_are_told_as_such_and_their_kernel_goes_on(bench: LocalBench) -> None:
    handle, client, kernel_id = await _start(bench)
    assert await client.run(kernel_id, WORKERS) == "9\n"
    (death,) = await _told(bench, handle)
    assert (death.what, death.name, death.limit) == ("processes", None, LIMIT)
    assert await client.run(kernel_id, "print(len(workers))") == "3\n"
    assert len(await _deaths(bench, handle)) == 1


async def _overfill_server(bench: LocalBench, handle: Handle) -> None:
    async with bench.client(handle).http() as http:
        with pytest.raises(httpx.TransportError):
            # It is read whole before it is written.
            await http.put("api/contents/large.bin", content=b'{"type": "file", "content": "' + b"x" * (300 * MIB))


async def _await_server(bench: LocalBench, handle: Handle) -> None:
    async with asyncio.timeout(30), bench.client(handle).http() as http:
        while True:
            with suppress(httpx.TransportError):
                if (await http.get("api/status")).is_success:
                    return
            await asyncio.sleep(0.02)


async def test_a_server_that_takes_too_much_is_told_and_started_anew(bench: LocalBench) -> None:
    handle = await bench.start_ready(limits=Limits(memory=100 * MIB))
    await _overfill_server(bench, handle)
    (death,) = await _told(bench, handle)
    assert (death.what, death.limit) == ("server", 100 * MIB)
    await _await_server(bench, handle)
    assert (await bench.engine.observe(handle)).phase is Phase.READY
    assert len(await _deaths(bench, handle)) == 1


async def test_a_server_that_always_takes_too_much_ends_its_session_with_peak_and_limit(bench: LocalBench) -> None:
    handle = await bench.start_ready(limits=Limits(memory=100 * MIB))
    for _ in range(3):
        await _overfill_server(bench, handle)
        await _await_server(bench, handle)
    await _overfill_server(bench, handle)
    seen = await bench.settle(handle, Phase.ENDED, within=WITHIN_SECONDS)
    assert seen.exit is not None
    assert seen.exit.reason == "out-of-memory"
    assert seen.exit.message == (
        "The session ran out of memory: it used 100 of 100 MiB. Variables are gone; saved files are safe."
    )
    assert seen.exit.memory_limit == 100 * MIB
    assert seen.exit.memory_peak is not None
    assert seen.exit.memory_peak > 95 * MIB


async def test_a_server_killed_after_a_kernels_death_did_not_run_out_of_memory(bench: LocalBench) -> None:
    handle, client, kernel_id = await _start(bench)
    async with _cell(client, kernel_id, TAKE_TOO_MUCH):
        await _told(bench, handle)
    known = read_json(LaunchFiles(bench.files(handle)).shim)
    assert known is not None
    os.kill(known["session_pid"], signal.SIGKILL)
    restarts = LaunchFiles(bench.files(handle)).restarts
    async with asyncio.timeout(20):
        while not restarts.exists():
            await asyncio.sleep(0.02)
    (restart,) = (read_json(restarts) or {})["restarts"]
    assert restart["reason"] == "killed"
    assert len(await _deaths(bench, handle)) == 1


async def test_two_kernels_that_die_are_told_one_by_one(bench: LocalBench) -> None:
    handle, client, kernel_id = await _start(bench)
    async with _cell(client, kernel_id, TAKE_TOO_MUCH):
        await _told(bench, handle)
    second = await client.start_kernel("second.ipynb")
    await client.run(second, "print(1)")
    parts = LaunchFiles(bench.files(handle)).parts
    async with asyncio.timeout(10):
        while not any(part.name == "second.ipynb" for part in read_parts(parts)):
            await asyncio.sleep(0.02)
    async with _cell(client, second, TAKE_TOO_MUCH):
        deaths = await _told(bench, handle, 2)
    assert [(death.what, death.name) for death in deaths] == [
        ("kernel", "data/work.ipynb"),
        ("kernel", "second.ipynb"),
    ]


async def test_stop_and_kill_leave_no_group_behind(bench: LocalBench) -> None:
    first, second = [await bench.start_ready(limits=Limits(memory=LIMIT)) for _ in range(2)]
    known = [read_json(LaunchFiles(bench.files(handle)).shim) or {} for handle in (first, second)]
    places = [Path(place) for place in known[0]["groups"].values()]
    assert all(len(list(place.glob("s-*"))) == 2 for place in places)
    await bench.engine.stop(first, grace=timedelta(seconds=5))
    os.kill(known[1]["pid"], signal.SIGKILL)
    for handle in (first, second):
        await bench.settle(handle, Phase.ENDED)
    assert not any(place.exists() for place in places)
