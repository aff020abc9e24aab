"""Kernels that a kernel host starts in a session: they are the session's, and not its server's."""

import asyncio
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from studiolo.engines.base import Death, Handle, Limits, Phase
from studiolo.gateway.base import KernelPlan
from studiolo.gateway.starting.launching import LocalLauncher, LocalProcess
from studiolo.runtime import cgroups, processes
from studiolo.runtime.launch import LaunchFiles, read_json
from studiolo.testing.fixtures import LocalBench

MIB = 1024**2
LIMIT = 220 * MIB


class Host:
    """Starts kernels as a kernel host does, by what a session's shim wrote."""

    def __init__(self, folder: Path) -> None:
        self.launcher = LocalLauncher(folder / "kernels", folder / "k")

    async def start(self, bench: LocalBench, handle: Handle, code: str | None = None, **changes: Any) -> LocalProcess:
        """Start a kernel of the session; with `code` it is no Jupyter kernel, but Python that runs that."""
        scope = f"{handle['workload_id']}.{handle['launch']}"
        grounds = read_json(bench.sockets / scope / "kernels.json")
        assert grounds is not None
        kernel_id = str(uuid.uuid4())
        python = f"{grounds['environment']}/bin/python"
        # What a kernel is taken for: it has its five sockets.
        bind = (
            "import json, socket, sys; c = json.load(open(sys.argv[1]))\n"
            "held = [socket.socket(socket.AF_UNIX) for _ in range(5)]\n"
            "[s.bind(f'{c[\"ip\"]}-{n}') for n, s in enumerate(held, 1)]\n"
        )
        argv = (python, "-c", bind + (code or "import time; time.sleep(600)"), "{connection_file}")
        values: dict[str, Any] = {
            "kernel_id": kernel_id,
            "scope": scope,
            "spec_name": "python3",
            "argv": argv,
            "environment": None,
            "folder": Path(grounds["folder"]),
            "variables": grounds["variables"],
            "groups": grounds["groups"],
            "group": grounds["group"],
            "marker": grounds["marker"],
            "memory_limit": grounds["limits"]["memory"],
            "register": Path(grounds["register"]) / f"{kernel_id}.json",
            "path": "data/work.ipynb",
        }
        return await self.launcher.start(KernelPlan(**(values | changes)))


@pytest.fixture
def host() -> Iterator[Host]:
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    yield Host(folder)
    shutil.rmtree(folder)


async def _ended(process: LocalProcess) -> str:
    async with asyncio.timeout(20):
        return (await process.wait()).reason


async def test_a_kernel_host_is_told_of_a_session_in_a_private_file(bench: LocalBench) -> None:
    handle = await bench.start_ready()
    name = f"{handle['workload_id']}.1"
    file = bench.sockets / name / "kernels.json"
    grounds = read_json(file)
    assert grounds is not None
    assert file.stat().st_mode & 0o777 == 0o600
    assert (grounds["folder"], grounds["marker"]) == (str(bench.workspace), name)
    assert grounds["environment"] == str(bench.environment)
    assert (Path(grounds["kernelspecs"][0]) / "python3" / "kernel.json").exists()
    await bench.engine.stop(handle, grace=timedelta(seconds=5))
    await bench.settle(handle, Phase.ENDED)
    assert not file.exists()


@pytest.mark.parametrize("grouped", [True, False], ids=["with its control group", "without one"])
async def test_kernels_end_with_their_session(bench: LocalBench, host: Host, grouped: bool) -> None:
    handle = await bench.start_ready()
    changes = {} if grouped else {"groups": {}, "group": ""}
    ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    kernels = [await host.start(bench, handle, code, **changes) for code in (None, ignoring)]
    await bench.engine.stop(handle, grace=timedelta(seconds=5))
    await bench.settle(handle, Phase.ENDED)
    assert not [kernel.pid for kernel in kernels if processes.find_process(kernel.pid)]
    assert [await _ended(kernel) for kernel in kernels] == ["stopped", "stopped"]


async def test_kernels_outlive_their_sessions_server(bench: LocalBench, host: Host) -> None:
    handle = await bench.start_ready()
    shim = LaunchFiles(bench.files(handle)).shim
    kernel = await host.start(bench, handle)
    server = (read_json(shim) or {})["session_pid"]
    os.kill(server, signal.SIGKILL)
    async with asyncio.timeout(20):
        while (read_json(shim) or {})["session_pid"] == server:
            await asyncio.sleep(0.02)
    assert processes.find_process(kernel.pid) is not None
    await bench.engine.stop(handle, grace=timedelta(seconds=5))
    await bench.settle(handle, Phase.ENDED)
    assert await _ended(kernel) == "stopped"


async def test_kernels_end_with_a_session_whose_shim_was_killed(bench: LocalBench, host: Host) -> None:
    handle = await bench.start_ready()
    kernels = [await host.start(bench, handle), await host.start(bench, handle, groups={}, group="")]
    os.kill((read_json(LaunchFiles(bench.files(handle)).shim) or {})["pid"], signal.SIGKILL)
    await bench.settle(handle, Phase.ENDED)
    for kernel in kernels:
        await _ended(kernel)
        assert processes.find_process(kernel.pid) is None


async def test_a_kernel_that_takes_too_much_is_named_by_its_session(bench: LocalBench, host: Host) -> None:
    if "memory" not in await asyncio.to_thread(cgroups.find_places, f"test-{os.getpid()}"):
        pytest.skip("no control group can limit memory here")
    handle = await bench.start_ready(limits=Limits(memory=LIMIT))
    other = await host.start(bench, handle)
    kernel = await host.start(bench, handle, f"import time; time.sleep(0.5); held = b'x' * {2 * LIMIT}")
    exit = await kernel.wait()
    assert exit.reason == "out-of-memory"
    assert exit.message.startswith("The kernel ran out of memory: it used ")
    deaths: tuple[Death, ...] = ()
    async with asyncio.timeout(20):
        while not deaths:
            used = await bench.engine.measure(handle)
            deaths = used.deaths if used else ()
            await asyncio.sleep(0.02)
    assert [(death.what, death.name, death.pid) for death in deaths] == [("kernel", "data/work.ipynb", kernel.pid)]
    assert processes.find_process(other.pid) is not None
