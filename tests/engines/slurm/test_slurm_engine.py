"""Sessions on a real Slurm: what its queue says, and what happens to jobs behind the platform's back."""

import asyncio
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Limits, Phase
from studiolo.engines.slurm import usage
from studiolo.runtime.launch import read_json, write_json
from studiolo.testing.fixtures import SECRET

pytestmark = [pytest.mark.engine, pytest.mark.engine_slurm]
GRACE = timedelta(seconds=5)
PATIENCE_SECONDS = 60.0


@pytest.mark.usefixtures("full_cluster")
async def test_a_waiting_session_tells_the_schedulers_reason_and_expected_start(batch: Any) -> None:
    handle = await batch.engine.start(batch.spec(limits=Limits(seconds=600)))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (seen := await batch.engine.observe(handle)).expected_start is None:
            assert seen.phase is Phase.PENDING, seen
            await asyncio.sleep(0.1)
    assert seen.message is not None
    assert seen.message.endswith(("(Resources).", "(Priority)."))
    assert seen.expected_start > datetime.now(UTC)


@pytest.mark.usefixtures("full_cluster")
async def test_a_waiting_session_can_be_stopped_and_its_job_is_gone(batch: Any) -> None:
    handle = await batch.engine.start(batch.spec())
    await batch.settle(handle, Phase.PENDING)
    await batch.engine.stop(handle, grace=GRACE)
    seen = await batch.settle(handle, Phase.ENDED)
    assert seen.exit.reason == "stopped"
    assert batch.call("squeue", "-h", "-j", handle["job"], "-t", "pending,running") == ""


async def test_a_session_answers_with_its_secret_only_and_runs_kernels_of_its_environment(batch: Any) -> None:
    handle, seen = await batch.start_ready()
    client = batch.client(handle, seen.upstream)
    async with client.http(None) as stranger, client.http() as person:
        assert (await stranger.get("lab")).status_code == 403
        assert (await person.get("lab")).status_code == 200
    printed = await batch.run(
        handle, "import os, sys; print(sys.prefix, os.environ['SLURM_JOB_ID'], os.environ['HOME'])"
    )
    assert printed.split() == [str(batch.environment), handle["job"], str(Path.home())]


async def test_nothing_that_slurm_shows_of_a_job_is_secret(batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIOLO_DATABASE_URL", "postgresql://ana:pass-of-the-database@db/x")
    spec = batch.spec(api_key="key-of-the-session", netrc="machine x password word-of-tools")
    # Held, so that its request is there to be looked at.
    handle = await batch.build(extra=["--hold"]).start(spec)
    request = batch.files(handle).request
    assert stat.S_IMODE(request.stat().st_mode) == 0o600
    assert SECRET in request.read_text()
    shown = batch.call("scontrol", "show", "job", "--details", handle["job"])
    shown += batch.call("scontrol", "write", "batch_script", handle["job"], "-")
    batch.call("scontrol", "release", handle["job"])
    seen = await batch.settle(handle, Phase.READY, Phase.ENDED)
    assert seen.phase is Phase.READY, seen
    assert not request.exists()
    shim = read_json(batch.files(handle).shim)["pid"]
    shown += Path(f"/proc/{shim}/environ").read_text() + Path(f"/proc/{shim}/cmdline").read_text()
    for secret in (SECRET, spec.api_key, "word-of-tools", "pass-of-the-database"):
        assert secret not in shown


async def test_a_job_cancelled_at_slurm_is_told_as_such_within_seconds(batch: Any) -> None:
    handle, _ = await batch.start_ready()
    batch.call("scancel", handle["job"])
    seen = await batch.settle(handle, Phase.ENDED)
    assert seen.exit.reason == "cancelled"
    assert "batch system" in seen.exit.message


async def test_a_waiting_job_cancelled_at_slurm_is_told_as_such(batch: Any) -> None:
    handle = await batch.build(extra=["--hold"]).start(batch.spec())
    await batch.settle(handle, Phase.PENDING)
    batch.call("scancel", handle["job"])
    assert (await batch.settle(handle, Phase.ENDED)).exit.reason == "cancelled"


@pytest.mark.timeout(300)
async def test_a_time_limit_is_announced_and_told_when_it_ends_the_session(batch: Any) -> None:
    handle, seen = await batch.start_ready(limits=Limits(seconds=60))
    left = seen.ends_at - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(seconds=60)
    async with asyncio.timeout(200):
        while (seen := await batch.engine.observe(handle)).phase is not Phase.ENDED:
            await asyncio.sleep(0.5)
    assert seen.exit.reason == "time-limit"


async def test_a_session_that_outgrows_its_memory_is_told_as_out_of_memory(batch: Any) -> None:
    if (await batch.engine.describe()).memory_limits == "none":
        pytest.skip("this Slurm does not hold jobs to their memory")
    handle = await batch.engine.start(batch.spec(limits=Limits(memory=30 * 1024**2)))
    seen = await batch.settle(handle, Phase.ENDED)
    assert seen.exit.reason == "out-of-memory", seen


async def test_a_controller_that_is_away_means_unknown_and_never_stopped(batch: Any, controller: Any) -> None:
    handle, _ = await batch.start_ready()
    await controller.kill()
    try:
        seen = await batch.settle(handle, Phase.UNKNOWN)
        assert seen.message.startswith("The batch system d")
        with pytest.raises(Unavailable):
            await batch.engine.stop(handle, grace=GRACE)
        with pytest.raises(Unavailable):
            await batch.engine.start(batch.spec())
    finally:
        await controller.start()
    assert (await batch.settle(handle, Phase.READY)).upstream


async def test_an_engine_built_anew_knows_all_from_the_handle(batch: Any) -> None:
    handle, seen = await batch.start_ready()
    again = batch.build()
    assert await again.observe(handle) == seen
    await again.stop(handle, grace=GRACE)
    ended = await batch.settle(handle, Phase.ENDED)
    assert ended.exit.reason == "stopped"
    assert await batch.build().observe(handle) == ended


async def test_a_job_whose_id_was_never_noted_is_found_by_its_name(batch: Any) -> None:
    spec = batch.spec(options={"partition": "waits"})
    handle = await batch.engine.start(spec)
    write_json(batch.files(handle).folder / "job.json", {"job": None})
    assert await batch.build().start(spec) == handle
    assert len(batch.call("squeue", "-h", f"--name=studiolo-{batch.instance}-{spec.workload_id}.1").splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"partition": "closed"}}, "partition"),
        ({"options": {"partition": "no-such"}}, "no-such"),
        ({"options": {"constraint": "no-such"}}, "feature"),
        ({"limits": Limits(gpu=1, gpu_type="b200")}, "not available"),
        ({"limits": Limits(memory=2**50)}, "emory"),
        ({"limits": Limits(seconds=10**6)}, "ime limit"),
        ({"options": {"colour": "red"}}, "colour"),
    ],
)
async def test_what_slurm_refuses_ends_with_its_words(batch: Any, changes: dict[str, Any], said: str) -> None:
    handle = await batch.engine.start(batch.spec(**changes))
    seen = await batch.engine.observe(handle)
    assert seen.exit is not None
    assert seen.exit.reason == "no-capacity"
    assert said in seen.exit.message
    assert not batch.files(handle).request.exists()


async def test_what_a_session_uses_is_told(batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_REMEMBERED_SECONDS", 0.5)
    handle, _ = await batch.start_ready()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (used := await batch.engine.measure(handle)).memory is None or not used.cpu_seconds:
            await asyncio.sleep(0.1)
    assert used.memory_peak >= used.memory > 30 * 1024**2


async def test_a_gpu_is_asked_for_by_its_type(batch: Any) -> None:
    assert (await batch.engine.describe()).gpu == 1
    handle, _ = await batch.start_ready(limits=Limits(gpu=1, gpu_type="a100"))
    assert "gres:gpu:a100:1" in batch.call("scontrol", "show", "job", "--details", handle["job"])
    assert (await batch.run(handle, "import os; print(os.environ['SLURM_JOB_GPUS'])")).strip() == "0"


async def test_a_program_that_is_not_on_the_node_is_told_with_the_shells_words(batch: Any) -> None:
    engine = batch.build(python="/nowhere/python")
    handle = await engine.start(batch.spec())
    seen = await batch.settle(handle, Phase.ENDED)
    assert seen.exit.reason == "never-ready"
    assert "/nowhere/python" in (await engine.tail(handle, lines=5))[-1]


async def test_200_waiting_jobs_cost_one_listing_per_interval(batch: Any) -> None:
    log, prefix = batch.data_dir / "calls", batch.data_dir / "prefix"
    prefix.write_text(f'#!/bin/sh\necho "$*" >>{log}\nexec "$@"\n')
    prefix.chmod(0o755)
    engine = batch.build(prefix=[str(prefix)], extra=["--hold"], poll_seconds=2)
    handles = await asyncio.gather(*(engine.start(batch.spec()) for _ in range(200)))
    assert {(await engine.observe(handle)).phase for handle in handles} == {Phase.PENDING}
    clock = asyncio.get_running_loop().time

    async def watch(handle: Any) -> None:
        async for _ in engine.watch(handle):
            await engine.observe(handle)

    def count() -> int:
        return sum("squeue" in line for line in log.read_text().splitlines())

    watching = [asyncio.create_task(watch(handle)) for handle in handles]
    # What follows the last submission sooner is over.
    first = count() + 4
    async with asyncio.timeout(PATIENCE_SECONDS):
        while count() < first:
            await asyncio.sleep(0.1)
    begun, before = clock(), count()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while count() < before + 3:
            await asyncio.sleep(0.1)
    assert clock() - begun > 2 * 2.0
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
