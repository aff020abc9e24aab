"""What pods' objects mean, and what quotas say, in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from studiolo.engines.base import Observation, Phase
from studiolo.engines.kubernetes import names, quota
from studiolo.engines.kubernetes.explaining import explain
from studiolo.engines.kubernetes.records import read
from studiolo.engines.kubernetes.settings import KubernetesSettings

_NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_CREATED = "2026-11-21T11:59:00Z"
_SETTINGS = KubernetesSettings(image="lab:1", image_seconds=120)


_PORTS: tuple[dict[str, Any], ...] = ({"containerPort": 8888},)


def _see(
    status: dict[str, Any], news: str = "", *, ports: tuple[dict[str, Any], ...] = _PORTS, **metadata: Any
) -> Observation | None:
    labels = {names.WORKLOAD: "s-1", names.LAUNCH: "2"}
    container = {"ports": list(ports), "resources": {"limits": {"memory": "2048Mi"}}}
    pod = {
        "metadata": {
            "name": "jupyter-ana-s-1-2",
            "labels": labels,
            "creationTimestamp": _CREATED,
            "resourceVersion": "7",
        }
        | metadata,
        "spec": {"containers": [container], "activeDeadlineSeconds": 3600},
        "status": {"startTime": _CREATED} | status,
    }
    record = read(pod)
    assert record is not None
    return explain(record, news, _SETTINGS, now=_NOW)


def _ended(**status: Any) -> Any:
    seen = _see({"phase": "Failed"} | status)
    assert seen is not None
    assert seen.phase is Phase.ENDED
    return seen.exit


def _container(**state: Any) -> list[dict[str, Any]]:
    return [{"state": state, "started": "running" in state}]


@pytest.mark.parametrize(
    ("ports", "kernels"),
    [(_PORTS, None), (({"name": "http", "containerPort": 80}, {"name": "kernels", "containerPort": 8889}), 8889)],
)
def test_a_pod_that_runs_says_where_its_server_and_its_kernels_are(ports: Any, kernels: int | None) -> None:
    seen = _see({"phase": "Running", "podIP": "10.1.2.3", "containerStatuses": _container(running={})}, ports=ports)
    assert seen is not None
    assert seen.upstream == f"10.1.2.3:{ports[0]['containerPort']}"
    assert seen.kernels == (f"10.1.2.3:{kernels}" if kernels else None)


def test_a_pod_without_a_node_says_why_it_waits() -> None:
    unplaced = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient cpu."}
    seen = _see({"phase": "Pending", "conditions": [unplaced]})
    message = "Waiting for a place in the cluster: 0/3 nodes are available: 3 Insufficient cpu."
    assert seen == Observation(Phase.PENDING, message=message)


def test_a_pull_is_progress_and_takes_no_starts_time() -> None:
    placed = {"type": "PodScheduled", "status": "True", "lastTransitionTime": _CREATED}
    waiting = _container(waiting={"reason": "ContainerCreating"})
    seen = _see({"phase": "Pending", "conditions": [placed], "containerStatuses": waiting}, "Pulling the image.")
    assert seen == Observation(Phase.PENDING, message="Pulling the image.")


@pytest.mark.parametrize(
    ("reason", "age", "phase"),
    [
        ("ErrImageNeverPull", 0, Phase.ENDED),
        ("InvalidImageName", 0, Phase.ENDED),
        ("ImagePullBackOff", 30, Phase.PENDING),
        ("ImagePullBackOff", 130, Phase.ENDED),
    ],
)
def test_an_image_that_cannot_be_had_ends_the_launch_after_a_while(reason: str, age: int, phase: Phase) -> None:
    created = (_NOW - timedelta(seconds=age)).isoformat()
    waiting = _container(waiting={"reason": reason, "message": "no such image"})
    seen = _see({"phase": "Pending", "containerStatuses": waiting}, creationTimestamp=created)
    assert seen is not None
    assert seen.phase is phase
    if seen.exit:
        assert seen.exit.reason == "image-missing"
        assert "no such image." in seen.exit.message


def test_a_server_that_listens_is_ready_until_its_time_limit() -> None:
    running = _container(running={})
    seen = _see({"phase": "Running", "podIP": "10.0.0.7", "containerStatuses": running})
    ends_at = datetime.fromisoformat(_CREATED) + timedelta(hours=1)
    assert seen == Observation(Phase.READY, upstream="10.0.0.7:8888", ends_at=ends_at)


def test_an_address_of_ip_version_6_is_bracketed() -> None:
    seen = _see({"phase": "Running", "podIP": "fd00::7", "containerStatuses": _container(running={})})
    assert seen is not None
    assert seen.upstream == "[fd00::7]:8888"


def test_a_pod_that_is_killed_for_memory_ran_out_of_memory() -> None:
    ended = _ended(containerStatuses=_container(terminated={"reason": "OOMKilled", "exitCode": 137}))
    assert ended.reason == "out-of-memory"
    assert ended.memory_limit == 2 * 1024**3
    assert "2 of 2 GiB" in ended.message


def test_an_eviction_gives_the_clusters_reason() -> None:
    ended = _ended(reason="Evicted", message="The node was low on resource: memory.")
    assert ended.reason == "evicted"
    assert "low on resource: memory." in ended.message


def test_a_time_limit_is_told_as_such() -> None:
    assert _ended(reason="DeadlineExceeded").reason == "time-limit"


def test_a_server_that_fails_is_told_with_its_code() -> None:
    ended = _ended(containerStatuses=_container(terminated={"reason": "Error", "exitCode": 3}))
    assert (ended.reason, ended.code) == ("server-exited", 3)


def test_a_pod_whose_node_is_gone_does_not_end_for_ever() -> None:
    status = {"phase": "Running", "containerStatuses": _container(running={})}
    ending = _see(status, deletionTimestamp=_NOW.isoformat())
    assert ending is not None
    assert ending.phase is Phase.STARTING
    assert _see(status, deletionTimestamp=(_NOW - timedelta(minutes=5)).isoformat()) is None


@pytest.mark.req("S2-24")
def test_a_full_quota_is_told_in_numbers() -> None:
    told = quota.explain(
        'pods "x" is forbidden: exceeded quota: q, requested: requests.cpu=2,requests.memory=4Gi, '
        "used: requests.cpu=3,requests.memory=6Gi, limited: requests.cpu=4,requests.memory=8Gi"
    )
    assert "3 of 4 processors are in use and the session asks for 2" in told
    assert "6 GiB of 8 GiB memory is in use and the session asks for 4 GiB" in told


@pytest.mark.req("S2-24")
def test_the_least_of_several_quotas_counts() -> None:
    quotas = [{"spec": {"hard": {"limits.cpu": "16"}}}, {"status": {"hard": {"requests.cpu": "8"}}}]
    assert quota.least(quotas, "limits.cpu", "requests.cpu") == (8, 0)
    assert quota.least(quotas, "limits.memory") is None
