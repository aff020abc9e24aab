"""The batch engine keeps the contract of engines on a real Slurm."""

import os
import signal
from typing import Any

import pytest

from studiolo.engines.base import Handle, Phase
from studiolo.runtime.launch import read_json
from studiolo.testing.engine_contract import *  # noqa: F403
from studiolo.testing.engine_contract import EngineCase

pytestmark = [pytest.mark.engine, pytest.mark.engine_slurm]


@pytest.fixture
def case(batch: Any, controller: Any) -> EngineCase:
    """The batch engine as a case of the contract."""

    async def crash(handle: Handle) -> None:
        known = read_json(batch.files(handle).shim)
        assert known is not None
        # The node is this machine.
        os.kill(known["pid"], signal.SIGKILL)

    async def break_engine() -> None:
        await controller.kill()
        # Until then what was listed before still counts.
        await batch.settle({"workload_id": "s-none", "launch": 1, "job": "999999"}, Phase.UNKNOWN)

    async def describe(handle: Handle) -> str:
        shown: str = batch.call("scontrol", "show", "job", "--details", handle["job"])
        return shown + str(batch.call("scontrol", "write", "batch_script", handle["job"], "-"))

    return EngineCase(
        engine=batch.engine,
        make_spec=batch.spec,
        unknown_handle=lambda: {"workload_id": batch.spec().workload_id, "launch": 1, "job": "999999"},
        crash=crash,
        run=batch.run,
        patience_seconds=60.0,
        verb_seconds=30.0,
        notice_seconds=30.0,
        make_waiting_spec=lambda: batch.spec(options={"partition": "waits"}),
        break_engine=break_engine,
        mend_engine=controller.start,
        describe_object=describe,
        data_dir=batch.data_dir,
    )
