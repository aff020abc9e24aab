"""Sessions by the commands of the other batch systems, which stand_in.py is: no real one of them can be had here."""

import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from engines.slurm import stand_in
from engines.slurm.conftest import SlurmBench
from studiolo.engines.base import Phase
from studiolo.testing.waiting import wait_for

_SYSTEMS = [
    pytest.param("torque", marks=pytest.mark.req("S4-90")),
    pytest.param("moab", marks=pytest.mark.req("S4-91")),
    pytest.param("gridengine", marks=pytest.mark.req("S4-93")),
    pytest.param("htcondor", marks=pytest.mark.req("S4-94")),
    pytest.param("lsf", marks=pytest.mark.req("S4-95")),
]


@pytest.fixture(params=_SYSTEMS)
async def bench(request: pytest.FixtureRequest, tmp_path: Path, environment: Path) -> AsyncIterator[SlurmBench]:
    """The batch engine on a stand-in for a system."""
    (tmp_path / "w" / "notebooks").mkdir(parents=True)
    prefix = [sys.executable, stand_in.__file__, str(tmp_path / "jobs")]
    bench = SlurmBench(tmp_path, environment, {"system": request.param, "prefix": prefix, "poll_seconds": 0.5})
    yield bench
    for engine in bench.built:
        await engine.aclose()
    stand_in.end_all(tmp_path / "jobs")


async def test_a_session_runs_is_found_again_and_ends_when_told(bench: SlurmBench, tmp_path: Path) -> None:
    handle, seen = await bench.start_ready()
    assert seen.upstream is not None
    client = bench.client(handle, seen.upstream)
    code = "import os; print(os.environ['STUDIOLO_SESSION'], os.getpid())"
    named, pid = (await client.run(await client.start_kernel(), code)).split()
    assert named == handle["workload_id"]
    async with client.http(auth=None) as stranger:
        assert (await stranger.get("api/contents")).status_code == 403
    # Another control plane knows it from the handle alone.
    assert (await bench.build().observe(handle)).phase in (Phase.READY, Phase.UNKNOWN)
    await bench.engine.stop(handle, grace=timedelta(seconds=20))
    ended = await bench.settle(handle, Phase.ENDED)
    assert ended.exit is not None
    assert ended.exit.reason == "stopped", ended
    # A system that kills the job alone leaves it to the kernel to see that nobody keeps it.
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the kernel ends")
    wait_for(lambda: [job["is_over"] for job in stand_in.Jobs(tmp_path / "jobs").all()] == [True], "the job ends too")
