"""The contract's claims can fail: they do for an engine that misbehaves, or claims an isolation that it has not."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from studiolo.engines.base import Handle, WorkloadSpec
from studiolo.testing.engine_contract import EngineCase, isolation, life
from studiolo.testing.fake_engine import FakeEngine
from studiolo.testing.fixtures import LocalBench

Claim = Callable[[EngineCase], Coroutine[None, None, None]]


@pytest.fixture
def case(bench: LocalBench) -> EngineCase:
    """The local engine, as if its sessions had networks and file systems of their own."""

    async def run(handle: Handle, code: str) -> str:
        client = bench.client(handle)
        return await client.run(await client.start_kernel(), code)

    async def crash(handle: Handle) -> None:
        raise NotImplementedError

    bench.engine.isolation = "L3"
    return EngineCase(bench.engine, bench.spec, dict, crash, run=run, data_dir=bench.data_dir)


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(
            isolation.test_a_workload_has_no_rights_over_the_machine,
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose sessions have all rights"),
        ),
        isolation.test_a_workload_sees_no_files_of_the_platform_or_of_other_workloads,
        isolation.test_a_workload_sees_no_processes_of_other_workloads,
        isolation.test_a_workload_cannot_reach_this_machine_by_the_network,
        isolation.test_a_workload_cannot_reach_another_by_the_network,
    ],
)
async def test_a_claim_of_isolation_fails_without_it(case: EngineCase, claim: Claim) -> None:
    with pytest.raises(AssertionError):
        await claim(case)


async def _do_nothing(handle: Handle | None = None) -> None:
    """Neither crashes a workload nor takes an engine away."""


def _bad_case(**changes: Any) -> EngineCase:
    engine, numbers = FakeEngine(), count()

    async def crash(handle: Handle) -> None:
        engine.crash(handle)

    async def show(handle: Handle) -> str:
        return str([workload.spec.secret for workload in engine.workloads.values()])

    def make_spec() -> WorkloadSpec:
        return WorkloadSpec(f"s-{next(numbers)}", 1, Path("/w"), Path("/e"), "/s/x/", secret="secret")

    case = EngineCase(
        engine=engine,
        make_spec=make_spec,
        unknown_handle=lambda: {"workload_id": make_spec().workload_id, "launch": 1},
        crash=crash,
        patience_seconds=0.2,
        verb_seconds=0.2,
        notice_seconds=0.2,
        make_waiting_spec=make_spec,
        break_engine=_do_nothing,
        mend_engine=_do_nothing,
        describe_object=show,
    )
    for name, value in changes.items():
        if name in EngineCase.__dataclass_fields__:
            case = replace(case, **{name: value})
        else:
            setattr(engine.behaviour if hasattr(engine.behaviour, name) else engine, name, value)
    return case


@pytest.mark.parametrize(
    ("claim", "fault"),
    [
        (life.test_a_crash_is_seen_soon_and_with_a_reason, {"crash": _do_nothing}),
        (life.test_a_watch_tells_soon_of_an_end_that_others_caused, {"crash": _do_nothing}),
        (life.test_a_stop_before_the_workload_is_ready_is_heard, {"stops": False}),
        (life.test_a_workload_that_waits_for_a_place_says_so_and_can_be_stopped, {}),
        (life.test_each_verb_returns_within_seconds, {"may_start": asyncio.Event()}),
        (life.test_an_engine_that_is_away_knows_nothing_and_workloads_go_on, {}),
        (life.test_an_engine_says_where_files_are_and_whether_it_runs_images, {"storage": "elsewhere"}),
        (life.test_what_the_engine_shows_holds_no_secret, {}),
        (life.test_a_log_is_followed_to_the_end_of_its_workload, {"stops": False}),
    ],
)
async def test_a_claim_about_life_fails_for_an_engine_that_misbehaves(claim: Claim, fault: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, TimeoutError, pytest.fail.Exception)):
        await claim(_bad_case(**fault))
