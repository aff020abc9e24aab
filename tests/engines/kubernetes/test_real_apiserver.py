"""What a real API server makes of names at their limits and of what others do to objects; its node is played."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from engines.kubernetes.conftest import ground, read_role
from studiolo.engines.base import Limits, Phase, Volume, WorkloadSpec
from studiolo.engines.kubernetes import names
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.testing.kubernetes.apiserver import APIServer
from studiolo.testing.waiting import settle

_PROGRAMS = os.environ.get("STUDIOLO_TEST_APISERVER")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.engine_kube,
    pytest.mark.skipif(not _PROGRAMS, reason="STUDIOLO_TEST_APISERVER names no folder with its programs"),
]
Make = Callable[..., WorkloadSpec]


@pytest.fixture
async def apiserver(tmp_path: Path) -> AsyncIterator[APIServer]:
    """A real API server, and a node whose pods are ready at once."""
    async with APIServer(Path(str(_PROGRAMS)), tmp_path, read_role()).serve() as server:
        yield server


@pytest.fixture
async def engine(apiserver: APIServer, tmp_path: Path) -> AsyncIterator[KubernetesEngine]:
    """The engine, with the rights that the chart gives."""
    engine = KubernetesEngine(ground(tmp_path), KubernetesSettings.model_validate(apiserver.settings(tmp_path)))
    yield engine
    await engine.aclose()


async def test_names_at_their_limits_and_any_text_are_accepted_by_an_apiserver(
    engine: KubernetesEngine, make_spec: Make
) -> None:
    spec = make_spec(
        launch=99_999_999_999,
        person="Ana-María " * 12,
        labels={"workspace": "ana/" + "ß: ../" * 60, "e-mail": "ana@example.org", "person": "A" * 300, "people": "2"},
        limits=Limits(cpu=0.333, memory=1_500_000_001, gpu=1, disk=1 << 30, seconds=3600),
        volumes=(Volume("Models 2026", claim="models"),),
    )
    await settle(engine, await engine.start(spec), Phase.READY)


async def test_labels_taken_from_a_pod_of_an_apiserver_are_given_back(
    apiserver: APIServer, engine: KubernetesEngine, make_spec: Make
) -> None:
    handle = await engine.start(make_spec())
    await settle(engine, handle, Phase.READY)
    path = f"pods/{handle['pod']}"
    await apiserver.ask("PATCH", path, {"metadata": {"labels": {names.WORKLOAD: None}}})
    wanted = names.of_launch("tests", handle["workload_id"], 1).items()
    async with asyncio.timeout(60):
        while not (await apiserver.ask("GET", path))["metadata"]["labels"].items() >= wanted:
            await engine.observe(handle)
            await asyncio.sleep(0.1)
    await settle(engine, handle, Phase.READY)


async def test_a_pod_that_somebody_removes_from_an_apiserver_was_cancelled(
    apiserver: APIServer, engine: KubernetesEngine, make_spec: Make
) -> None:
    handle = await engine.start(make_spec())
    await settle(engine, handle, Phase.READY)
    await apiserver.ask("DELETE", f"pods/{handle['pod']}")
    seen = await settle(engine, handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "cancelled"
