"""The Kubernetes engine on a fake cluster: what happens to pods, and what a cluster refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engines.kubernetes.conftest import ground
from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.engines.base import Handle, Limits, Phase, WorkloadSpec
from studiolo.engines.kubernetes import manifests
from studiolo.engines.kubernetes.claims import Claim
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.manifests import Plan
from studiolo.engines.kubernetes.settings import KubernetesOptions, KubernetesSettings
from studiolo.testing.fixtures import nothing_wanted
from studiolo.testing.kubernetes.pods import Pod, scripted
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.waiting import settle

Make = Callable[..., WorkloadSpec]
_GRACE = timedelta(seconds=5)


async def _reason(engine: KubernetesEngine, handle: Handle) -> str:
    seen = await settle(engine, handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.message.endswith(".")
    return seen.exit.reason


def _plant(cluster: FakeCluster, spec: WorkloadSpec) -> Handle:
    """Have a pod of the engine's run in the cluster that no engine has started; returns its handle."""
    claim = Claim("workspace-x", ("ReadWriteOnce",))
    pod = manifests.pod(Plan(spec, KubernetesSettings(image="lab:1"), KubernetesOptions(), "tests", claim, 5.0))
    cluster.plant(pod)
    return {"workload_id": spec.workload_id, "launch": spec.launch, "pod": pod["metadata"]["name"]}


@asynccontextmanager
async def _another(cluster: FakeCluster, folder: Path) -> AsyncIterator[KubernetesEngine]:
    """The engine of a control plane that has just been started."""
    engine = KubernetesEngine(ground(folder), KubernetesSettings.model_validate(cluster.settings(folder)))
    yield engine
    await engine.aclose()


@pytest.mark.req("S2-08")
async def test_a_start_makes_what_a_session_needs_and_nothing_holds_its_secret_in_the_open(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    spec = make_spec()
    handle = await engine.start(spec)
    seen = await settle(engine, handle, Phase.READY)
    assert seen.upstream == "127.0.0.1:8888"
    made = {
        kind: len(cluster.list_all(kind)) for kind in ("pods", "secrets", "persistentvolumeclaims", "networkpolicies")
    }
    assert set(made.values()) == {1}
    assert spec.secret not in str(cluster.list_all("pods"))


@pytest.mark.req("S2-101")
async def test_all_of_a_session_is_in_the_namespace_that_the_settings_name(make_spec: Make, tmp_path: Path) -> None:
    async with FakeCluster(namespace="maestro-ml").serve() as cluster:
        settings = KubernetesSettings.model_validate(cluster.settings(tmp_path, namespace="maestro-ml"))
        engine = KubernetesEngine(ground(tmp_path), settings)
        await settle(engine, await engine.start(make_spec()), Phase.READY)
        for kind in ("pods", "secrets", "persistentvolumeclaims", "networkpolicies"):
            [made] = cluster.list_all(kind)
            assert made["metadata"]["namespace"] == "maestro-ml"
        await engine.aclose()


@pytest.mark.req("S2-23")
async def test_a_workspace_keeps_its_claim_when_it_gets_another_name(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    await engine.start(make_spec())
    await engine.start(make_spec(labels={"workspace": "renamed"}))
    assert len(cluster.list_all("persistentvolumeclaims")) == 1


@pytest.mark.req("S2-24")
async def test_a_full_quota_ends_the_launch_with_its_numbers(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    cluster.limit(**{"requests.cpu": "1"})
    handle = await engine.start(make_spec(limits=Limits(cpu=2)))
    seen = await settle(engine, handle, Phase.ENDED)
    assert seen.exit is not None
    assert seen.exit.reason == "no-capacity"
    assert "0 of 1 processors are in use and the session asks for 2" in seen.exit.message


@pytest.mark.req("S2-24")
async def test_the_namespaces_quota_is_what_the_engine_has(cluster: FakeCluster, engine: KubernetesEngine) -> None:
    cluster.limit(**{"requests.cpu": "8", "limits.memory": "64Gi", "requests.nvidia.com/gpu": "2"})
    machine = await engine.describe()
    assert (machine.cpu, machine.memory, machine.gpu) == (8, 64 * 1024**3, 2)


@pytest.mark.req("S2-22")
async def test_a_right_that_is_missing_is_named(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    cluster.forbidden.add(("create", "pods"))
    with pytest.raises(Unavailable, match="may not create pods") as caught:
        await engine.start(make_spec())
    assert "'create' on pods" in str(caught.value.hint)


async def test_events_that_may_not_be_read_cost_only_the_progress(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    cluster.forbidden |= {("list", "events"), ("watch", "events")}
    await settle(engine, await engine.start(make_spec()), Phase.READY)


async def test_an_option_that_is_not_known_is_refused(engine: KubernetesEngine, make_spec: Make) -> None:
    with pytest.raises(InvalidInput, match="options for kubernetes"):
        await engine.start(make_spec(options={"partition": "gpu"}))


async def test_waiting_for_a_node_is_told_with_the_schedulers_reason(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    cluster.runner = scripted(lambda pod: pod.find_no_place("0/3 nodes are available: 3 Insufficient memory."))
    handle = await engine.start(make_spec())
    async with asyncio.timeout(60):
        while "Insufficient memory" not in ((await engine.observe(handle)).message or ""):
            await asyncio.sleep(0.02)
    assert (await engine.observe(handle)).phase is Phase.PENDING


async def test_pulling_is_told_as_it_happens(cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make) -> None:
    cluster.runner = scripted(Pod.place, lambda pod: pod.tell("Pulling", 'Pulling image "lab:1"'))
    handle = await engine.start(make_spec())
    async with asyncio.timeout(60):
        while (await engine.observe(handle)).message != "Pulling the image.":
            await asyncio.sleep(0.02)


async def test_an_image_that_no_node_has_ends_the_launch(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    cluster.runner = scripted(Pod.place, lambda pod: pod.wait("ErrImageNeverPull", "Container image is not present"))
    assert await _reason(engine, await engine.start(make_spec())) == "image-missing"


async def test_running_out_of_memory_is_told(cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make) -> None:
    handle = await engine.start(make_spec(limits=Limits(memory=1024**3)))
    await settle(engine, handle, Phase.READY)
    await cluster.kill(handle["pod"], 137, "OOMKilled")
    assert await _reason(engine, handle) == "out-of-memory"


async def test_an_eviction_is_told_although_the_pod_is_gone(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    handle = await engine.start(make_spec())
    await settle(engine, handle, Phase.READY)
    cluster.evict(handle["pod"])
    assert await _reason(engine, handle) == "evicted"


async def test_a_pod_that_somebody_removes_was_cancelled_and_stays_so(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make, tmp_path: Path
) -> None:
    handle = await engine.start(make_spec())
    await settle(engine, handle, Phase.READY)
    cluster.remove(handle["pod"])
    assert await _reason(engine, handle) == "cancelled"
    async with _another(cluster, tmp_path) as later:
        assert await later.observe(handle) == await engine.observe(handle)


async def test_a_control_plane_that_starts_anew_finds_running_and_ended_sessions(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make, tmp_path: Path
) -> None:
    running, ended = await engine.start(make_spec()), await engine.start(make_spec())
    await settle(engine, ended, Phase.READY)
    await engine.stop(ended, grace=_GRACE)
    seen = await settle(engine, ended, Phase.ENDED)
    async with _another(cluster, tmp_path) as later:
        assert (await settle(later, running, Phase.READY)).upstream
        assert await later.observe(ended) == seen


async def test_what_was_stopped_leaves_no_request_and_what_is_forgotten_leaves_nothing(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    spec = make_spec()
    handle = await engine.start(spec)
    await settle(engine, handle, Phase.READY)
    await engine.stop(handle, grace=_GRACE)
    await settle(engine, handle, Phase.ENDED)
    assert all("data" not in secret for secret in cluster.list_all("secrets"))
    await engine.forget(spec.workload_id)
    assert cluster.list_all("secrets") == cluster.list_all("networkpolicies") == cluster.list_all("pods") == []


async def test_a_sweep_keeps_one_record_of_many_launches(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    spec = make_spec()
    for launch in (1, 2, 3):
        handle = await engine.start(replace(spec, launch=launch))
        await settle(engine, handle, Phase.READY)
        await engine.stop(handle, grace=_GRACE)
        await settle(engine, handle, Phase.ENDED)
    assert await engine.sweep(nothing_wanted) == []
    assert [secret["metadata"]["name"] for secret in cluster.list_all("secrets")] == [f"launch-{spec.workload_id}-3"]


async def test_a_cluster_that_is_away_ends_nothing_and_comes_back(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    handle = await engine.start(make_spec())
    await settle(engine, handle, Phase.READY)
    cluster.go_away()
    seen = await settle(engine, handle, Phase.UNKNOWN)
    assert seen.message == "The Kubernetes cluster does not answer."
    with pytest.raises(Unavailable):
        await engine.start(make_spec())
    cluster.is_away = False
    await settle(engine, handle, Phase.READY)


async def test_a_token_that_has_expired_is_read_anew(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make, tmp_path: Path
) -> None:
    await settle(engine, await engine.start(make_spec()), Phase.READY)
    cluster.token = "token-of-the-next-hour"
    cluster.kubeconfig(tmp_path)
    await settle(engine, await engine.start(make_spec()), Phase.READY)


async def test_a_watch_that_is_too_old_lists_anew(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    handle = await engine.start(make_spec())
    await settle(engine, handle, Phase.READY)
    cluster.go_away()
    await settle(engine, handle, Phase.UNKNOWN)
    await cluster.kill(handle["pod"])
    cluster.store.compact()
    cluster.is_away = False
    assert await _reason(engine, handle) == "killed"


async def test_a_log_is_followed_to_its_end(cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make) -> None:
    handle = await engine.start(make_spec())
    lines = cluster.logs[handle["pod"]] = ["one", "two", "three"]
    read: list[str] = []
    async with asyncio.timeout(60):
        async for line in engine.follow(handle, lines=2):
            read.append(line)
            if line == "three":
                lines.append("four")
                await cluster.kill(handle["pod"])
    assert read == ["two", "three", "four"]
    assert await engine.tail(handle, lines=1) == ["four"]


async def test_a_thousand_pods_are_known_from_one_watch(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    handles = [_plant(cluster, make_spec()) for _ in range(1000)]
    await settle(engine, handles[0], Phase.READY)
    async with asyncio.timeout(60):
        while {("watch", "pods"), ("watch", "events")} - set(cluster.calls):
            await asyncio.sleep(0.02)
    before = len(cluster.calls)
    for handle in handles:
        assert (await engine.observe(handle)).phase is Phase.READY
    await cluster.kill(handles[500]["pod"])
    await settle(engine, handles[500], Phase.ENDED)
    assert len(cluster.calls) == before
    assert cluster.calls.count(("list", "pods")) == 4
    assert cluster.calls.count(("watch", "pods")) == 1
