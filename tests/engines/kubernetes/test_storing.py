"""A workspace's files go into its claim and come out of it by a pod of ours, which really runs as a process here."""

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from engines.kubernetes.conftest import ground
from studiolo.contract.errors import Unavailable
from studiolo.engines.base import Handle, StoredEntry, StoredPlace, WorkloadSpec
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.testing.engine_contract import EngineCase
from studiolo.testing.engine_contract.storing import *  # noqa: F403
from studiolo.testing.kubernetes.processes import Processes
from studiolo.testing.kubernetes.server import FakeCluster


@pytest.fixture
async def engine(cluster: FakeCluster, tmp_path: Path) -> AsyncIterator[KubernetesEngine]:
    """The engine on a cluster that runs what it is told to, with this machine's runtime for the image's."""
    cluster.runner = Processes(cluster, tmp_path / "node").run
    settings = KubernetesSettings(
        image="lab:1", kubeconfig=cluster.kubeconfig(tmp_path), python=sys.executable, port=28888
    )
    engine = KubernetesEngine(ground(tmp_path), settings)
    yield engine
    await engine.aclose()


@pytest.fixture
def case(engine: KubernetesEngine, make_spec: Callable[..., WorkloadSpec]) -> EngineCase:
    async def crash(handle: Handle) -> None:
        raise NotImplementedError

    return EngineCase(engine, make_spec, dict, crash, carries_files=True)


@pytest.fixture
def place() -> StoredPlace:
    return StoredPlace(Path("/data/workspaces/w-1"), "churn", "ana")


async def test_a_carrier_is_nobodys_session_and_nothing_of_it_stays(
    engine: KubernetesEngine, cluster: FakeCluster, place: StoredPlace, tmp_path: Path
) -> None:
    async with engine.open_store(place) as store:
        await store.write("kept.txt", 0, b"kept")
        (pod,) = cluster.list_all("pods")
        labels = pod["metadata"]["labels"]
        assert "studiolo.dev/workload" not in labels
        (policy,) = cluster.list_all("networkpolicies")
        (name, value), *others = policy["spec"]["podSelector"]["matchLabels"].items()
        assert (labels[name], policy["spec"]["egress"], others) == (value, [], [])
        assert await engine.sweep(nothing) == []
        await store.finish(StoredEntry("kept.txt", "file", 4, 0, 0o600))
    assert [cluster.list_all(kind) for kind in ("pods", "secrets", "networkpolicies")] == [[], [], []]
    assert list((tmp_path / "node" / "claims").glob("workspace-churn-*/kept.txt"))
    await engine.forget_store(place)
    assert cluster.list_all("persistentvolumeclaims") == []


async def test_a_carrier_answers_nobody_without_its_secret(
    engine: KubernetesEngine, cluster: FakeCluster, place: StoredPlace
) -> None:
    async with engine.open_store(place):
        (pod,) = cluster.list_all("pods")
        address = f"http://{pod['status']['podIP']}:28888/call"
        async with httpx.AsyncClient(trust_env=False) as stranger:
            body = b'{"name": "entries", "arguments": {"start": 0, "most": 9}}\n'
            for headers in ({}, {"Authorization": "Bearer guess"}):
                assert (await stranger.post(address, content=body, headers=headers)).status_code == 401


async def test_what_an_opening_left_that_was_killed_is_taken_away_by_the_next(
    engine: KubernetesEngine, cluster: FakeCluster, place: StoredPlace
) -> None:
    first = engine.open_store(place)
    await first.__aenter__()
    uid = cluster.list_all("pods")[0]["metadata"]["uid"]
    async with engine.open_store(place) as store:
        assert cluster.list_all("pods")[0]["metadata"]["uid"] != uid
        assert [entry async for entry in store.list_entries()] == []


async def test_a_missing_right_is_named(engine: KubernetesEngine, cluster: FakeCluster, place: StoredPlace) -> None:
    async with engine.open_store(place):
        pass
    cluster.forbidden.add(("delete", "persistentvolumeclaims"))
    with pytest.raises(Unavailable, match="may not delete persistentvolumeclaims"):
        await engine.forget_store(place)


async def nothing() -> set[tuple[str, int]]:
    return set()
