"""Sessions as pods, as people meet them: the whole platform on a fake cluster."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from server.conftest import eventually
from studiolo.engines.kubernetes.plugin import PLUGIN
from studiolo.engines.plugins import EngineGround
from studiolo.server.engines.engines import Engines
from studiolo.testing.fake_engine import FakeEngine
from studiolo.testing.kubernetes.pods import scripted
from studiolo.testing.kubernetes.server import FakeCluster

W = "/api/v1/jupyter/workspaces"
S = "/api/v1/jupyter/sessions"


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster().serve() as cluster:
        yield cluster


@pytest.fixture
def engines(engine: FakeEngine, cluster: FakeCluster, tmp_path: Path) -> Engines:
    settings = PLUGIN.settings.model_validate(cluster.settings(tmp_path, claims={"shared_storage_class": "nfs"}))
    ground = EngineGround(tmp_path, tmp_path, "tests", "http://localhost:1")
    return Engines({"local": engine, "kubernetes": PLUGIN.build(ground, settings)})


async def _launch(client: httpx.AsyncClient, *, wait: int) -> dict[str, object]:
    await client.post(W, json={"name": "churn", "engine": "kubernetes"})
    return dict((await client.post(S, json={"workspace": "churn"}, params={"wait": wait})).json())


@pytest.mark.req("S2-08")
async def test_a_workspace_whose_engine_is_kubernetes_runs_in_a_pod_of_its_person(
    ana: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    session = await _launch(ana, wait=30)
    assert (session["engine"], session["state"]) == ("kubernetes", "running")
    pod = cluster.list_all("pods")[0]
    assert pod["metadata"]["name"].startswith("jupyter-ana-s-")
    assert pod["metadata"]["annotations"]["studiolo.dev/workspace"] == "ana/churn"
    claim = cluster.list_all("persistentvolumeclaims")[0]
    assert claim["metadata"]["name"].startswith("workspace-churn-")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


@pytest.mark.req("A-25")
async def test_the_claim_of_a_workspace_of_several_people_can_be_mounted_by_several_nodes(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    await ana.post(W, json={"name": "churn", "engine": "kubernetes"})
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    await ana.post(S, json={"workspace": "churn"}, params={"wait": 30})
    spec = cluster.list_all("persistentvolumeclaims")[0]["spec"]
    assert (spec["accessModes"], spec["storageClassName"]) == (["ReadWriteMany"], "nfs")


async def test_waiting_for_a_place_is_told_with_the_schedulers_words(
    ana: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    cluster.runner = scripted(lambda pod: pod.find_no_place("0/3 nodes are available: 3 Insufficient cpu."))
    session = await _launch(ana, wait=0)

    async def is_told() -> bool:
        return "Insufficient cpu" in str((await ana.get(f"{S}/{session['id']}")).json()["progress"])

    await eventually(is_told, timedelta(seconds=60))
