"""The container engine keeps the contract of engines, on a real Podman."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engines.container.bench import PATIENCE, Bench
from studiolo.contract.ids import IdKind, new_id
from studiolo.engines.base import Handle, WorkloadSpec
from studiolo.testing.engine_contract import *  # noqa: F403
from studiolo.testing.engine_contract import EngineCase
from studiolo.testing.ports import free_port

_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root claims containers that wait")
# The suite holds both ways: for containers that are made for a launch, and for those that waited for one.
pytestmark = [
    pytest.mark.engine,
    pytest.mark.engine_podman,
    pytest.mark.parametrize(
        "settings",
        [pytest.param({}, id="made for it"), pytest.param({"warm": 1}, id="waiting for it", marks=_ROOT)],
        indirect=True,
    ),
]


@pytest.fixture
async def silent_registry() -> AsyncIterator[int]:
    """Takes connections and never answers: what is fetched from it is waited for."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", free_port())
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in held:
        writer.transport.abort()


@pytest.fixture
async def case(bench: Bench, platform: Any, silent_registry: int) -> EngineCase:
    """The container engine as a case of the contract."""
    # Until the daemon was asked, no isolation is claimed.
    await bench.engine.describe()
    # Each launch waits until it can have a container that waited for it.
    bench.engine.pool.patience = PATIENCE

    def make_waiting_spec() -> WorkloadSpec:
        return bench.spec(image=f"127.0.0.1:{silent_registry}/waiting:1")

    async def describe_object(handle: Handle) -> str:
        async with bench.docker() as docker:
            return json.dumps(await docker.containers.container(bench.container(handle)).show())

    return EngineCase(
        engine=bench.engine,
        make_spec=bench.spec,
        unknown_handle=lambda: {"workload_id": new_id(IdKind.SESSION), "launch": 1},
        crash=bench.kill,
        patience_seconds=PATIENCE,
        verb_seconds=PATIENCE if bench.settings.warm else 15.0,
        run=bench.run,
        make_waiting_spec=make_waiting_spec,
        break_engine=bench.cable.pull_out,
        mend_engine=bench.cable.plug_in,
        describe_object=describe_object,
        data_dir=bench.data_dir,
        serves_platform=True,
    )
