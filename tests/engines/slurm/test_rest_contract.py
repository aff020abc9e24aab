"""The main claims about the batch engine, on a real Slurm that is asked by its REST daemon."""

import os
from typing import Any

import pytest

from engines.slurm.test_slurm_engine import (  # noqa: F401
    test_a_gpu_is_asked_for_by_its_type,
    test_a_job_cancelled_at_slurm_is_told_as_such_within_seconds,
    test_a_job_whose_id_was_never_noted_is_found_by_its_name,
    test_a_waiting_session_tells_the_schedulers_reason_and_expected_start,
    test_an_engine_built_anew_knows_all_from_the_handle,
)
from studiolo.engines.base import Limits
from studiolo.testing.engine_contract import (  # noqa: F401
    test_a_crash_is_seen_soon_and_with_a_reason,
    test_a_second_launch_is_another_workload,
    test_a_started_workload_becomes_ready_and_has_an_upstream,
    test_a_stop_before_the_workload_is_ready_is_heard,
    test_a_workload_that_waits_for_a_place_says_so_and_can_be_stopped,
    test_an_engine_that_is_away_knows_nothing_and_workloads_go_on,
    test_each_verb_returns_within_seconds,
    test_observing_a_launch_that_never_was_says_vanished,
    test_racing_starts_make_one_workload,
    test_stop_ends_the_workload_with_the_reason_stopped,
    test_stopping_twice_succeeds,
    test_sweep_ends_what_is_not_wanted_and_nothing_else,
    test_what_the_engine_shows_holds_no_secret,
)

pytestmark = [pytest.mark.engine, pytest.mark.engine_slurm]


@pytest.fixture
def batch(batch: Any) -> Any:
    """A batch engine that asks the daemon."""
    if not (socket := os.environ.get("STUDIOLO_TEST_SLURMRESTD")):
        end = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        end("no STUDIOLO_TEST_SLURMRESTD: scripts/engines/slurm.sh says where its daemon listens")
    batch.settings["rest"] = {"url": f"unix:{socket}", "holds_limits": True}
    return batch


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"partition": "no-such"}}, "partition"),
        ({"options": {"constraint": "no-such"}}, "feature"),
        ({"limits": Limits(gpu=1, gpu_type="b200")}, "not available"),
        ({"limits": Limits(seconds=10**6)}, "ime limit"),
    ],
)
async def test_what_the_daemon_refuses_ends_with_its_words(batch: Any, changes: dict[str, Any], said: str) -> None:
    handle = await batch.engine.start(batch.spec(**changes))
    seen = await batch.engine.observe(handle)
    assert seen.exit is not None
    assert seen.exit.reason == "no-capacity"
    assert said in seen.exit.message


async def test_a_session_has_the_memory_and_the_time_that_were_asked_for(batch: Any) -> None:
    handle, seen = await batch.start_ready(limits=Limits(memory=300 * 1024**2, seconds=119))
    shown = batch.call("scontrol", "show", "job", handle["job"])
    assert "mem=300M" in shown
    assert "TimeLimit=00:02:00" in shown
    assert "Requeue=0" in shown
    assert seen.ends_at is not None


async def test_the_nodes_of_a_partition_are_told(batch: Any) -> None:
    whole, one = await batch.engine.describe(), await batch.build(partition="closed").describe()
    assert (whole.gpu, one.gpu) == (1, 1)
    assert whole.cpu == 2 * one.cpu
    assert (whole.cpu_limits, whole.process_limits) == ("engine", "none")
