"""The Kubernetes engine keeps the contract of engines.

On a fake cluster whose pods are scripted; on one that runs them as processes; on a real API server with such a node,
where STUDIOLO_TEST_APISERVER names a folder with `etcd` and `kube-apiserver`; and on a real cluster, where
STUDIOLO_TEST_KUBECONFIG leads to it (`make test-kubernetes KUBECONFIG=…`). That one's namespace is named by
STUDIOLO_TEST_NAMESPACE (`studiolo`), the image with our runtime by STUDIOLO_TEST_IMAGE, the isolation to measure by
STUDIOLO_TEST_ISOLATION (`L1`: nothing is measured), the address that this machine has for pods by
STUDIOLO_TEST_PLATFORM_CIDRS. It takes `kubectl`.
"""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from engines.kubernetes.conftest import ground, read_role
from studiolo.engines.base import Handle, Phase, WorkloadSpec
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.names import WORKLOAD
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.testing.engine_contract import *  # noqa: F403
from studiolo.testing.engine_contract import EngineCase, settle
from studiolo.testing.kubernetes.apiserver import APIServer
from studiolo.testing.kubernetes.pods import Pod, run_at_once
from studiolo.testing.kubernetes.processes import Processes
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.local import SessionClient, build_environment

_REAL = os.environ.get("STUDIOLO_TEST_KUBECONFIG")
_NAMESPACE = os.environ.get("STUDIOLO_TEST_NAMESPACE", "studiolo")
_SLOW = (pytest.mark.engine, pytest.mark.engine_kube)
_PROGRAMS = os.environ.get("STUDIOLO_TEST_APISERVER")
_NO_SERVER = pytest.mark.skipif(not _PROGRAMS, reason="STUDIOLO_TEST_APISERVER names no folder with its programs")
_NO_CLUSTER = pytest.mark.skipif(not _REAL, reason="STUDIOLO_TEST_KUBECONFIG names no cluster")

Make = Callable[..., WorkloadSpec]
_WAITS = "waits"


@pytest.fixture(
    params=[
        "scripted",
        pytest.param("processes", marks=_SLOW),
        pytest.param("apiserver", marks=(*_SLOW, _NO_SERVER)),
        pytest.param("cluster", marks=(*_SLOW, _NO_CLUSTER)),
    ]
)
async def case(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, make_spec: Make, tmp_path: Path
) -> AsyncIterator[EngineCase]:
    """The Kubernetes engine as a case of the contract."""
    if request.param == "cluster":
        async with _real_case(make_spec, tmp_path) as real:
            yield real
        return
    if request.param == "apiserver":
        if {"tail", "log"} & set(request.node.name.split("[")[0].split("_")):
            pytest.skip("a node that is played serves no logs")
        async with APIServer(Path(str(_PROGRAMS)), tmp_path, read_role()).serve() as server:
            settings = KubernetesSettings.model_validate(server.settings(tmp_path))
            engine = _unmeasured(KubernetesEngine(ground(tmp_path), settings))
            yield EngineCase(
                engine, make_spec, _unknown(make_spec), lambda handle: server.kill(handle["pod"]), patience_seconds=60
            )
            await engine.aclose()
        return
    async with FakeCluster().serve() as cluster:
        settings = KubernetesSettings.model_validate(cluster.settings(tmp_path))
        if request.param == "processes":
            environment = build_environment(pytestconfig.cache.mkdir("environments") / "ipykernel-of-pods")
            here = {"python": sys.executable, "environment": str(environment), "port": 28889}
            settings = settings.model_copy(update=here)
            cluster.runner = Processes(cluster, tmp_path / "node").run

        def make() -> WorkloadSpec:
            spec = make_spec()
            if request.param == "scripted":
                cluster.logs[f"jupyter-ana-{spec.workload_id}-1"] = ["one", "two"]
            return spec

        async def crash(handle: Handle) -> None:
            await cluster.kill(handle["pod"])

        engine = _unmeasured(KubernetesEngine(ground(tmp_path), settings))
        case = EngineCase(engine, make, _unknown(make_spec), crash, patience_seconds=60)
        yield case if request.param == "processes" else _with_more(case, cluster, make_spec)
        await engine.aclose()


def _unmeasured(engine: KubernetesEngine) -> KubernetesEngine:
    """Have an engine claim nothing: a node that is played keeps nothing apart."""
    engine.isolation = "L0"
    return engine


def _with_more(case: EngineCase, cluster: FakeCluster, make_spec: Make) -> EngineCase:
    """What a script can do to a cluster: have no place, not answer, show what it has."""

    async def run(pod: Pod) -> None:
        if pod.manifest["metadata"]["annotations"]["studiolo.dev/workspace"] != _WAITS:
            return await run_at_once(pod)
        pod.find_no_place("0/1 nodes are available: 1 Insufficient cpu.")
        await pod.is_stopping.wait()
        return None

    async def go_away() -> None:
        running = [pod["metadata"] for pod in cluster.list_all("pods")]
        handles = [{"workload_id": pod["labels"][WORKLOAD], "launch": 1, "pod": pod["name"]} for pod in running]
        cluster.go_away()
        # What it knew it may say until the connection is gone.
        for handle in handles:
            await settle(case, handle, Phase.UNKNOWN)

    async def come_back() -> None:
        cluster.is_away = False

    async def describe(handle: Handle) -> str:
        return str([pod for pod in cluster.list_all("pods") if pod["metadata"]["name"] == handle["pod"]])

    cluster.runner = run
    return replace(
        case,
        make_waiting_spec=lambda: make_spec(labels={"workspace": _WAITS}),
        break_engine=go_away,
        mend_engine=come_back,
        describe_object=describe,
    )


@asynccontextmanager
async def _real_case(make_spec: Make, folder: Path) -> AsyncIterator[EngineCase]:
    settings = KubernetesSettings.model_validate(
        {
            "image": os.environ["STUDIOLO_TEST_IMAGE"],
            "kubeconfig": _REAL,
            "namespace": _NAMESPACE,
            "network": {"platform_cidrs": os.environ.get("STUDIOLO_TEST_PLATFORM_CIDRS", "").split()},
            "isolation": os.environ.get("STUDIOLO_TEST_ISOLATION", "L1"),
            "limits_processes": os.environ.get("STUDIOLO_TEST_LIMITS_PROCESSES") == "1",
        }
    )
    engine = KubernetesEngine(ground(folder), settings)
    if settings.isolation == "L1":
        _unmeasured(engine)
    made: dict[str, WorkloadSpec] = {}

    def make() -> WorkloadSpec:
        spec = make_spec(folder=Path("/studiolo-tests/workspace"))
        made[spec.workload_id] = spec
        return spec

    async def crash(handle: Handle) -> None:
        # Process 1 of a pod cannot be killed from inside; told to end by somebody else, it does.
        async with _kubectl("exec", handle["pod"], "--", "/bin/sh", "-c", "kill 1") as process:
            assert await process.wait() == 0

    async def run(handle: Handle, code: str) -> str:
        # The node connects to the pod from inside, where no network policy is asked.
        async with _kubectl("port-forward", handle["pod"], f":{settings.port}") as process:
            assert process.stdout is not None
            told = (await process.stdout.readline()).decode()
            address = told.removeprefix("Forwarding from ").split(" -> ")[0]
            spec = made[handle["workload_id"]]
            client = SessionClient.at(address, spec.base_url, spec.secret)
            return await client.run(await client.start_kernel(f"{uuid.uuid4().hex}.ipynb"), code)

    yield EngineCase(engine, make, _unknown(make_spec), crash, patience_seconds=150, run=run)
    for workload_id in made:
        await engine.forget(workload_id)
    await engine.aclose()


@asynccontextmanager
async def _kubectl(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    program = ("kubectl", "--kubeconfig", str(_REAL), "--namespace", _NAMESPACE)
    process = await asyncio.create_subprocess_exec(*program, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def _unknown(make_spec: Make) -> Callable[[], Handle]:
    return lambda: {"workload_id": make_spec().workload_id, "launch": 1, "pod": "jupyter-ana-unknown-1"}
