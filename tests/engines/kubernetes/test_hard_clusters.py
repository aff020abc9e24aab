"""The Kubernetes engine on a cluster that is busy, lies, or whose objects others edit."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from studiolo.contract.errors import Conflict, Unavailable
from studiolo.engines.base import Handle, Limits, Phase, WorkloadSpec
from studiolo.engines.kubernetes import claims, names
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.testing.kubernetes.pods import Pod, scripted
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.waiting import settle

Make = Callable[..., WorkloadSpec]
_NO_JSON_OBJECTS = ["", "[]", "null", "{", "<html>", "{}", '{"metadata": []}', '{"metadata": {}, "items": [1]}']
_DEEP = "[" * 100_000


def _plant_secret(cluster: FakeCluster, spec: WorkloadSpec, platform: str) -> None:
    """Have the Secret of the second launch be there already."""
    name = names.secret_name(spec.workload_id, 2)
    metadata = {"name": name, "namespace": cluster.namespace, "labels": {names.INSTANCE: platform}}
    cluster.store.put("secrets", {"metadata": metadata})


async def _ready(engine: KubernetesEngine, spec: WorkloadSpec) -> Handle:
    handle = await engine.start(spec)
    await settle(engine, handle, Phase.READY)
    return handle


def _claim(cluster: FakeCluster) -> str:
    return str(cluster.list_all("persistentvolumeclaims")[0]["metadata"]["name"])


async def test_a_busy_api_is_asked_again_after_the_pause_that_it_wants(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    cluster.busy = 2
    await _ready(engine, make_spec())


async def test_an_api_that_wants_a_long_pause_is_left_alone_by_all_calls(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    cluster.busy, cluster.retry_after = 1000, 50
    for _ in range(5):
        with pytest.raises(Unavailable, match="too many requests"):
            await engine.start(make_spec())
    assert len(cluster.calls) == 1


async def test_a_watch_that_is_throttled_goes_on_where_it_was_without_a_list(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    handle = await _ready(engine, make_spec())
    cluster.go_away()
    await settle(engine, handle, Phase.UNKNOWN)
    cluster.busy, cluster.is_away = 2, False
    await settle(engine, handle, Phase.READY)
    await cluster.kill(handle["pod"])
    await settle(engine, handle, Phase.ENDED)
    assert cluster.calls.count(("list", "pods")) == 1


@pytest.mark.parametrize("lie", [*_NO_JSON_OBJECTS, _DEEP], ids=lambda lie: lie[:12] or "nothing")
async def test_a_list_that_cannot_be_read_means_unknown_and_ends_nothing(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make, lie: str
) -> None:
    handle = await engine.start(make_spec())
    cluster.lies["list", "pods"] = lie
    seen = await settle(engine, handle, Phase.UNKNOWN)
    assert seen.message == "The Kubernetes cluster's answer cannot be read."
    cluster.lies.clear()
    await settle(engine, handle, Phase.READY)


@pytest.mark.parametrize("verb", ["create", "list", "get"])
@pytest.mark.parametrize("lie", _NO_JSON_OBJECTS[1:7], ids=lambda lie: lie[:12])
async def test_an_answer_that_cannot_be_read_fails_a_start_for_now(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make, verb: str, lie: str
) -> None:
    spec = make_spec()
    await _ready(engine, spec)
    again = make_spec(workload_id=spec.workload_id, launch=2)
    pairs = {"create": ("create", "secrets"), "list": ("list", "persistentvolumeclaims")}
    if verb == "get":
        # As after a start whose answer was lost: the Secret is there, and is looked at.
        _plant_secret(cluster, spec, "tests")
    cluster.lies[pairs.get(verb, ("get", "secrets"))] = lie
    with pytest.raises(Unavailable):
        await engine.start(again)


async def test_a_pod_that_cannot_be_read_hides_no_other(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    good, bad = await _ready(engine, make_spec()), await _ready(engine, make_spec())
    cluster.edit("pods", bad["pod"], {"status": {"conditions": "none of your business"}})
    cluster.go_away()
    await settle(engine, good, Phase.UNKNOWN)
    cluster.store.compact()
    cluster.is_away = False
    await settle(engine, good, Phase.READY)
    assert (await engine.observe(bad)).phase is Phase.UNKNOWN


async def test_a_pod_with_a_great_deal_written_on_it_is_watched_like_any_other(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    handle = await _ready(engine, make_spec())
    cluster.edit("pods", handle["pod"], {"metadata": {"annotations": {"notes": "x" * 300_000}}})
    await cluster.kill(handle["pod"])
    await settle(engine, handle, Phase.ENDED)
    assert cluster.calls.count(("list", "pods")) == 1


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "::1", "evil.example.org/x", "0.0.0.0"])
async def test_an_address_that_no_pod_has_is_not_connected_to(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make, address: str
) -> None:
    cluster.runner = scripted(Pod.place, lambda pod: pod.run(address))
    handle = await engine.start(make_spec())
    async with asyncio.timeout(60):
        while "no pod has" not in ((seen := await engine.observe(handle)).message or ""):
            await asyncio.sleep(0.02)
    assert (seen.phase, seen.upstream) == (Phase.STARTING, None)


async def test_a_pod_under_anothers_labels_is_not_taken_for_it(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    handle = await _ready(engine, make_spec())
    other = cluster.pod(handle["pod"]).manifest
    cluster.plant({**other, "metadata": {**other["metadata"], "name": "someone-else"}})
    cluster.pod("someone-else").run("127.9.9.9")
    await cluster.kill(handle["pod"])
    await settle(engine, handle, Phase.ENDED)


async def test_labels_that_somebody_takes_from_a_pod_are_given_back(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    handle = await _ready(engine, make_spec())
    cluster.edit("pods", handle["pod"], {"metadata": {"labels": {names.WORKLOAD: None, names.INSTANCE: "other"}}})
    wanted = names.of_launch("tests", handle["workload_id"], 1).items()
    async with asyncio.timeout(60):
        while not cluster.pod(handle["pod"]).manifest["metadata"]["labels"].items() >= wanted:
            await engine.observe(handle)
            await asyncio.sleep(0.02)
    await settle(engine, handle, Phase.READY)


async def test_a_policy_that_somebody_removes_is_there_again_after_the_next_sweep(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    handle = await _ready(engine, make_spec())
    [policy] = cluster.list_all("networkpolicies")
    cluster.store.remove("networkpolicies", policy)

    async def wanted() -> set[tuple[str, int]]:
        return {(handle["workload_id"], 1)}

    assert await engine.sweep(wanted) == []
    assert [again["spec"] for again in cluster.list_all("networkpolicies")] == [policy["spec"]]
    assert cluster.calls.count(("list", "pods")) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [({"status": {"phase": "Lost"}}, "is lost"), ({"metadata": {"deletionTimestamp": "now"}}, "is being removed")],
)
async def test_a_claim_that_is_lost_is_not_replaced_by_an_empty_one(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make, change: dict[str, object], words: str
) -> None:
    await _ready(engine, make_spec())
    cluster.edit("persistentvolumeclaims", _claim(cluster), change)
    with pytest.raises(Unavailable, match=words) as caught:
        await engine.start(make_spec())
    assert _claim(cluster) in str(caught.value.hint)
    assert len(cluster.list_all("persistentvolumeclaims")) == 1


async def test_the_claim_that_is_there_says_where_its_pods_may_run(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    await _ready(engine, make_spec())
    cluster.edit("persistentvolumeclaims", _claim(cluster), {"spec": {"accessModes": ["ReadWriteMany"]}})
    handle = await _ready(engine, make_spec())
    assert "affinity" not in cluster.pod(handle["pod"]).manifest["spec"]


async def test_a_volume_that_cannot_be_made_is_told_instead_of_the_place_that_is_not_found(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    cluster.runner = scripted(
        lambda pod: pod.find_no_place("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
        lambda pod: cluster.tell_of_claim(_claim(cluster), "ProvisioningFailed", "only supports ReadWriteOnce"),
    )
    handle = await engine.start(make_spec())
    wanted = "The cluster cannot make the workspace's volume: only supports ReadWriteOnce."
    async with asyncio.timeout(60):
        while (await engine.observe(handle)).message != wanted:
            await asyncio.sleep(0.02)


async def test_two_platforms_in_a_namespace_do_not_take_each_others_sessions(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    spec = make_spec()
    handle = await _ready(engine, spec)
    # Of a copy of this platform that was restored elsewhere.
    _plant_secret(cluster, spec, "copy")
    with pytest.raises(Conflict, match="Another platform"):
        await engine.start(make_spec(workload_id=spec.workload_id, launch=2))
    await settle(engine, handle, Phase.READY)


async def test_a_clock_that_is_wrong_takes_no_stopping_pod_for_lost(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    cluster.ahead = -3600

    async def never_ends(pod: Pod) -> None:
        pod.run("127.0.0.1")
        await asyncio.Event().wait()

    cluster.runner = never_ends
    handle = await _ready(engine, make_spec())
    cluster.remove(handle["pod"])
    await settle(engine, handle, Phase.STARTING)
    assert (await engine.observe(handle)).message == "The pod is being ended."


@pytest.mark.req("S2-24")
async def test_what_a_quota_has_left_counts_the_pods_of_others(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Make
) -> None:
    cluster.limit(**{"limits.cpu": "8", "limits.memory": "16Gi"})
    await _ready(engine, make_spec(limits=Limits(cpu=2, memory=4 << 30)))
    machine = await engine.describe()
    assert (machine.cpu, machine.cpu_taken) == (8, 2)
    assert (machine.memory, machine.memory_taken) == (16 << 30, 4 << 30)


@pytest.mark.parametrize(
    ("shared_class", "is_shared", "mode"),
    [("nfs", True, "ReadWriteMany"), ("nfs", False, "ReadWriteOnce"), (None, True, "ReadWriteOnce")],
)
def test_a_claim_is_for_many_nodes_where_people_share_it_and_a_class_can(
    shared_class: str | None, is_shared: bool, mode: str
) -> None:
    settings = claims.KubernetesSettings.model_validate(
        {"image": "lab:1", "claims": {"shared_storage_class": shared_class, "storage_class": "disk"}}
    )
    claim = claims.plan(Path("/data/w-1"), "churn", settings, "tests", is_shared=is_shared)
    assert (claim.modes, claim.storage_class) == ((mode,), "nfs" if mode == "ReadWriteMany" else "disk")
