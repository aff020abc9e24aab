"""A whole platform whose sessions are pods: the one test of the way from its lock and index into a pod's kernel."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.conftest import Platform, make_platform
from e2e.headless import outlive_the_platform
from e2e.kernels import channels, execute, start_kernel
from studiolo.testing.kubernetes.processes import Processes
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.ports import free_port
from studiolo.testing.waiting import wait_for

__all__ = ["make_platform"]
pytestmark = [pytest.mark.engine, pytest.mark.engine_kube, pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    """A cluster that really runs its pods, in a thread of its own."""
    cluster, ready, over = FakeCluster(), threading.Event(), threading.Event()

    async def serve() -> None:
        async with cluster.serve():
            cluster.runner = Processes(cluster, tmp_path / "node").run
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    yield cluster
    over.set()
    thread.join()


@pytest.fixture
def platform(
    cluster: FakeCluster, make_platform: Callable[..., Platform], environment: Path, tmp_path: Path
) -> Platform:
    """A platform that runs all sessions as pods; it ends before its cluster, which it asks to end them."""
    settings = {
        **cluster.settings(tmp_path),
        "python": sys.executable,
        "environment": environment,
        "port": free_port(),
        "kernels_port": free_port(),
    }
    table = {
        f"STUDIOLO_ENGINES__KUBERNETES__{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in settings.items()
    }
    made = make_platform(STUDIOLO_ENGINES__DEFAULT="kubernetes", STUDIOLO_KERNELS__WORKLOAD_IDLE_STOP="5s", **table)
    made.up()
    return made


def launch(client: httpx.Client) -> dict[str, Any]:
    """Launch a session of the workspace and wait until it runs."""
    address = "/api/v1/jupyter/sessions"
    session: dict[str, Any] = client.post(address, json={"workspace": "churn"}, params={"wait": 60}, timeout=90).json()
    while session["state"] == "starting":
        session = client.get(f"{address}/{session['id']}", params={"wait": 60}, timeout=90).json()
    return session


def test_what_is_installed_on_the_platform_is_there_in_a_pod(platform: Platform, cluster: FakeCluster) -> None:
    client = platform.client()
    client.post("/api/v1/jupyter/workspaces", json={"name": "churn"}).raise_for_status()
    platform.run("install", "churn", "iniconfig")
    session = launch(client)
    assert session["state"] == "running", (session, cluster.logs)
    with channels(client, session["id"], start_kernel(client, session["id"])) as socket:
        code = "import iniconfig, sys; print(iniconfig.__file__.removeprefix(sys.prefix), sys.prefix)"
        file, prefix = execute(socket, code).split()
    assert file.startswith("/lib/python3")
    assert prefix.endswith("/.studiolo/environment/live")
    told = client.get(f"/api/v1/jupyter/sessions/{session['id']}").json()["activity"]
    assert told["environment_note"] == "", (told, cluster.logs)


@pytest.mark.req("S1-03", "S1-X03", "S1-X05")
def test_a_headless_kernel_runs_in_a_pod_outlives_the_platform_and_its_pod_ends_when_nobody_needs_it(
    platform: Platform, cluster: FakeCluster
) -> None:
    platform.run("create", "apart")
    outlive_the_platform(platform, "apart", "kubernetes")
    # One place for both kernels, which was not made anew meanwhile.
    made = [name for name in cluster.logs if name.startswith("jupyter-")]
    assert len(made) == 1, (made, cluster.logs)
    wait_for(lambda: cluster.list_all("pods") == [], "its pod has ended", 120)
