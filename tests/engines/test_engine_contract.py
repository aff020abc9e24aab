"""The contract's claims about isolation can fail: they do for an engine that claims what it has not."""

import os

import pytest

from studiolo.engines.base import Handle
from studiolo.testing.engine_contract import EngineCase, isolation
from studiolo.testing.fixtures import LocalBench


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
async def test_a_claim_of_isolation_fails_without_it(case: EngineCase, claim: isolation.Claim) -> None:
    with pytest.raises(AssertionError):
        await claim(case)
