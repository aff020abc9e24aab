"""A whole platform whose sessions are jobs of a real Slurm, from the command line and by a kernel's websocket."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from base_environments import small_lock
from e2e.conftest import Platform
from e2e.headless import outlive_the_platform
from e2e.kernels import channels, execute, start_kernel
from e2e.outliving import outlive_server_and_platform
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.engine_slurm, pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture
def platform(tmp_path: Path, slurm: Path) -> Iterator[Platform]:
    """A platform that has Slurm for sessions that name no engine, and a size that waits for ever."""
    profiles = [{"name": "waits", "resources": {"cpu": 1}, "engines": {"slurm": {"partition": "waits"}}}]
    made = Platform(
        tmp_path,
        lock=small_lock(),
        STUDIOLO_ENGINES__DEFAULT="slurm",
        STUDIOLO_ENGINES__SLURM__LISTEN="127.0.0.1",
        STUDIOLO_ENGINES__SLURM__NODE_ADDRESS="127.0.0.1",
        STUDIOLO_ENGINES__SLURM__POLL_SECONDS="1",
        STUDIOLO_ENGINES__SLURM__TIME_LIMIT="30m",
        STUDIOLO_RESOURCES__PROFILES=json.dumps(profiles),
    )
    made.up()
    yield made
    made.down()


def session(platform: Platform, workspace: str) -> Any:
    return platform.json("status", workspace)["sessions"][0]


@pytest.mark.req("S4-92")
def test_a_session_is_a_job_that_runs_kernels_waits_its_turn_and_ends_as_slurm_says(platform: Platform) -> None:
    platform.run("create", "batch")
    platform.run("start", "batch")
    client, started = platform.client(), session(platform, "batch")
    with channels(client, started["id"], start_kernel(client, started["id"])) as kernel:
        job = execute(kernel, "import os; print(os.environ['SLURM_JOB_ID'])").strip()
    # Slurm's word, not ours, ends it.
    subprocess.run(["scancel", job], check=True, timeout=30)
    ended = wait_for(lambda: (now := session(platform, "batch"))["state"] == "stopped" and now, "its end is told", 60)
    assert ended["reason"]["code"] == "cancelled"

    platform.run("create", "queue", "--profile", "waits")
    platform.run("start", "queue", "--detach")
    waiting = wait_for(lambda: (now := session(platform, "queue"))["progress"] and now, "its turn is waited for", 60)
    assert waiting["state"] == "starting"
    said = wait_for(
        lambda: "partition is down" in (session(platform, "queue")["progress"] or {}).get("message", ""), "why", 60
    )
    assert said
    platform.run("stop", "queue")
    words = ["squeue", "--noheader", "--states=pending,running", "--format=%j"]
    assert waiting["id"] not in subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout


def test_a_kernel_in_a_job_outlives_its_server_and_the_platform_and_loses_no_output(platform: Platform) -> None:
    platform.run("create", "kept")
    platform.run("start", "kept")
    outlive_server_and_platform(platform, "kept", "engines/slurm/{}/1")


@pytest.mark.req("S1-03", "S1-33", "S1-39", "S1-X03", "S1-X05")
def test_a_headless_kernel_runs_in_a_job_and_outlives_the_platform(platform: Platform) -> None:
    platform.run("create", "apart")
    outlive_the_platform(platform, "apart", "slurm")
