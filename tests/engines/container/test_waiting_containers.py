"""Containers of a real Podman that wait for launches, and the launches that claim them."""

import asyncio
import os
from pathlib import Path

import pytest

from engines.container.bench import PATIENCE, Bench
from studiolo.engines.base import Phase
from studiolo.engines.container.configuration import INSTANCE, WAITING
from studiolo.engines.container.engine import ContainerEngine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.engine_podman,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root claims containers that wait"),
    pytest.mark.parametrize("settings", [{"warm": 1}], indirect=True, ids=["warm"]),
]


async def test_a_launch_takes_the_container_that_waits_and_another_waits_then(bench: Bench) -> None:
    bench.engine.pool.patience = PATIENCE
    handle = await bench.start_ready(datasets={"iris": make_dataset(bench)})
    async with bench.docker() as docker:
        shown = await docker.containers.container(bench.container(handle)).show()
    assert shown["Config"]["Labels"][WAITING].startswith("x")
    said = await bench.run(
        handle,
        "import os; print(os.listdir('/workspace'), open('/datasets/iris/a.csv').read(), os.environ['HOME'][-4:])\n"
        "for path in ('/datasets/iris/b', '/x', '/usr/x'):\n"
        "  try: open(path, 'w')\n"
        "  except OSError as error: print(error.errno)",
    )
    assert said.split() == ["['notebooks']", "1,2", "home", "30", "30", "30"]
    again = await bench.start_ready()
    assert (await bench.engine.observe(again)).upstream != (await bench.engine.observe(handle)).upstream


async def test_one_that_died_while_it_waited_costs_the_launch_nothing(bench: Bench) -> None:
    bench.engine.pool.patience = PATIENCE
    await bench.start_ready()
    await kill_those_that_wait(bench)
    bench.engine.pool.patience = 0
    handle = await bench.start_ready()
    assert await bench.run(handle, "print(6 * 7)") == "42\n"


async def test_a_control_plane_that_begins_anew_has_containers_of_its_own_wait_and_sessions_stay(bench: Bench) -> None:
    bench.engine.pool.patience = PATIENCE
    handle = await bench.start_ready()
    before = await wait_for_one(bench)
    after = ContainerEngine(bench.ground, bench.settings)
    try:
        await after.sweep(lambda: asyncio.sleep(0, {(handle["workload_id"], handle["launch"])}))
        assert not set(before) & set(await list_waiting(bench))
        # What was launched before is made ready without another launch.
        assert await wait_for_one(bench)
        assert (await after.observe(handle)).phase is Phase.READY
        assert await bench.run(handle, "print(open('/proc/self/mountinfo').read().count('/workspace '))") != "0\n"
    finally:
        await after.aclose()


async def test_nothing_waits_once_the_engine_is_closed(bench: Bench) -> None:
    bench.engine.pool.patience = PATIENCE
    await bench.start_ready()
    assert await wait_for_one(bench)
    await bench.engine.aclose()
    assert await list_waiting(bench) == []


def make_dataset(bench: Bench) -> Path:
    folder = bench.data_dir / "shares" / "iris"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("1,2")
    return folder


async def list_waiting(bench: Bench) -> list[str]:
    """Return the names of the containers that wait."""
    async with bench.docker() as docker:
        found = await docker.containers.list(all=1, filters=f'{{"label": ["{INSTANCE}={bench.ground.instance}"]}}')
    names = [str(one._container["Names"][0]).removeprefix("/") for one in found]
    return [name for name in names if "-waiting-" in name]


async def wait_for_one(bench: Bench) -> list[str]:
    """Wait until a container waits that can be claimed; returns the names of all that do."""
    places = bench.ground.sockets / "waiting"
    async with asyncio.timeout(PATIENCE):
        while True:
            found = [
                name
                for name in await list_waiting(bench)
                if (places / name.rpartition("-")[2] / "gate/s.sock").exists()
            ]
            if found:
                return found
            await asyncio.sleep(0.1)


async def kill_those_that_wait(bench: Bench) -> None:
    await wait_for_one(bench)
    async with bench.docker() as docker:
        for name in await list_waiting(bench):
            await docker.containers.container(name).delete(force=True)
