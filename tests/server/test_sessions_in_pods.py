"""Sessions as pods, as people meet them: the whole platform on a fake cluster."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from server.conftest import eventually
from server.test_moving_pages import Browser, browser
from studiolo.engines.kubernetes.plugin import PLUGIN
from studiolo.engines.plugins import EngineGround
from studiolo.packages.installed.lock import Lock, LockedPackage
from studiolo.server.engines.engines import Engines
from studiolo.server.environments.tables import environment_builds
from studiolo.server.services import Services
from studiolo.testing.fake_engine import FakeEngine
from studiolo.testing.kubernetes.pods import scripted
from studiolo.testing.kubernetes.server import FakeCluster

__all__ = ["browser"]
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


@pytest.mark.req("S2-08", "S3-15", "S4-96")
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


@pytest.mark.req("S0-78")
async def test_each_workspace_has_a_volume_of_its_own_and_its_pods_mount_no_other(
    ana: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    for name in ("churn", "forecast"):
        await ana.post(W, json={"name": name, "engine": "kubernetes"})
        session = (await ana.post(S, json={"workspace": name}, params={"wait": 30})).json()
        assert session["state"] == "running", session
    claims = {one["metadata"]["name"] for one in cluster.list_all("persistentvolumeclaims")}
    mounted = {}
    for pod in cluster.list_all("pods"):
        volumes = [one["persistentVolumeClaim"] for one in pod["spec"]["volumes"] if "persistentVolumeClaim" in one]
        mounted[pod["metadata"]["annotations"]["studiolo.dev/workspace"]] = [one["claimName"] for one in volumes]
    assert sorted(mounted) == ["ana/churn", "ana/forecast"]
    assert sorted(name for names in mounted.values() for name in names) == sorted(claims)
    assert len(claims) == 2


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


@pytest.fixture
async def environment(services: Services, ana: httpx.AsyncClient) -> Lock:
    """What the environment of ana's workspace holds, as the record says."""
    await ana.post(W, json={"name": "churn", "engine": "kubernetes"})

    async def is_recorded() -> bool:
        return bool((await ana.get(f"{W}/churn/environment/builds")).json()["items"])

    await eventually(is_recorded, timedelta(seconds=60))
    tiny = LockedPackage("pypi", "tiny", "1.0", "a" * 64, "delivered", "tiny-1.0-py3-none-any.whl", "b" * 64, "default")
    lock = Lock("default", "base", "3.11", (tiny,))
    async with services.db.write() as tx:
        await tx.connection.execute(update(environment_builds).values(lock=lock.to_toml(), hash=lock.hash))
    return lock


async def test_a_pod_is_told_what_the_workspaces_environment_holds(
    ana: httpx.AsyncClient, cluster: FakeCluster, environment: Lock
) -> None:
    await _launch(ana, wait=30)
    secret = next(one for one in cluster.list_all("secrets") if "request.json" in one["data"])
    request = json.loads(base64.b64decode(secret["data"]["request.json"]))
    assert request["recipe"]["hash"] == environment.hash
    assert request["recipe"]["added"] == [{"name": "tiny", "version": "1.0", "hashes": ["b" * 64]}]
    assert request["environment"] == "/workspace/.studiolo/environment/live"
    assert request["image_environment"] == "/opt/environment"
    assert request["variables"]["PATH"].startswith("/workspace/.studiolo/environment/live/bin:")
    # A claim is the workspace's; tabs and settings are a person's.
    me = (await ana.get("/api/v1/me")).json()["id"]
    assert request["variables"]["JUPYTERLAB_WORKSPACES_DIR"] == f"/workspace/.studiolo/jupyter/{me}/lab/workspaces"
    assert request["variables"]["UV_CACHE_DIR"] == "/workspace/.studiolo/environment/tools/cache/uv"
    pod = cluster.list_all("pods")[0]
    assert pod["metadata"]["annotations"]["studiolo.dev/recipe"] == environment.hash
    assert pod["spec"]["containers"][0]["startupProbe"]["failureThreshold"] == 300 + 900


async def test_why_an_environment_could_not_be_made_is_told_on_every_page_of_the_session(
    services: Services, ana: httpx.AsyncClient, browser: Browser, environment: Lock
) -> None:
    session = str((await _launch(ana, wait=30))["id"])
    headers = {"Authorization": f"Bearer {services.session_secrets.api_key(session, 1)}"}
    why = "The workspace's environment could not be made here from its lock. Hash mismatch."
    told = {"environment_note": why}
    assert (await ana.post(f"/api/v1/sessions/{session}/report", json=told, headers=headers)).status_code == 204
    assert (await ana.get(f"{S}/{session}")).json()["activity"]["environment_note"] == why
    page = await browser.client.get(f"/sessions/{session}")
    assert "could not be made here from its lock. Hash mismatch." in page.text
