"""A pod's command really runs JupyterLab: the fake cluster runs it as a process of this machine."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from engines.kubernetes.conftest import ground
from environments.served_index import ServedIndex
from studiolo.engines.base import Phase, WorkloadSpec
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.runtime import rebuild
from studiolo.runtime.recipes import Recipe
from studiolo.testing.fixtures import SECRET
from studiolo.testing.kubernetes.processes import Processes
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.local import SessionClient
from studiolo.testing.waiting import settle


@pytest.fixture
async def engine(cluster: FakeCluster, environment: Path, tmp_path: Path) -> AsyncIterator[KubernetesEngine]:
    """The engine on a cluster that runs what it is told to, with this machine's runtime for the image's."""
    cluster.runner = Processes(cluster, tmp_path / "node").run
    here = {"python": sys.executable, "environment": str(environment), "port": 28888}
    settings = KubernetesSettings.model_validate(cluster.settings(tmp_path, **here))
    engine = KubernetesEngine(ground(tmp_path), settings)
    yield engine
    await engine.aclose()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ServedIndex]:
    """An index that the pod reaches."""
    folder = tmp_path / "index"
    folder.mkdir()
    index = ServedIndex(folder)
    yield index
    index.close()


@pytest.mark.req("S2-08", "S2-10")
async def test_a_session_in_a_pod_runs_cells_in_its_claim_and_ends_when_told(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Callable[..., WorkloadSpec], tmp_path: Path
) -> None:
    spec = make_spec()
    handle = await engine.start(spec)
    seen = await settle(engine, handle, Phase.READY, Phase.ENDED)
    assert seen.upstream is not None, (seen, cluster.logs)
    client = SessionClient.at(seen.upstream, spec.base_url, SECRET)
    code = "import os, pathlib; pathlib.Path('made').touch(); print(os.environ['STUDIOLO_SESSION'])"
    assert await client.run(await client.start_kernel(), code) == f"{spec.workload_id}\n"
    assert list((tmp_path / "node" / "claims").glob("workspace-churn-*/made"))
    async with client.http(auth=None) as stranger:
        assert (await stranger.get("api/contents")).status_code == 403
    # Its port is the one that the policy lets the platform reach.
    assert seen.kernels == f"{seen.upstream.rpartition(':')[0]}:8889"
    async with SessionClient.at(seen.kernels, "/", SECRET).http() as host:
        assert (await host.get("_host/kernels")).json() == {"kernels": []}
    assert await engine.tail(handle, lines=1)
    await engine.stop(handle, grace=timedelta(seconds=20))
    ended = await settle(engine, handle, Phase.ENDED)
    assert ended.exit is not None
    assert ended.exit.reason == "stopped"


async def test_a_pod_makes_the_workspaces_environment_from_its_lock_before_kernels_start(
    engine: KubernetesEngine, make_spec: Callable[..., WorkloadSpec], index: ServedIndex
) -> None:
    recipe = Recipe("hash", f"{sys.version_info.major}.{sys.version_info.minor}", added=(index.add("tiny", "1.0"),))
    spec = make_spec(recipe=recipe, netrc=index.netrc, variables={"UV_DEFAULT_INDEX": index.url})
    handle = await engine.start(spec)
    said: set[str | None] = set()
    async with asyncio.timeout(60):
        while (seen := await engine.observe(handle)).phase not in (Phase.READY, Phase.ENDED):
            said.add(seen.message)
            await asyncio.sleep(0.02)
    assert seen.upstream is not None, (seen, await engine.tail(handle, lines=20))
    assert any(message and message.startswith(rebuild.PROGRESS) for message in said), said
    client = SessionClient.at(seen.upstream, spec.base_url, SECRET)
    code = "import sys, tiny; print(tiny.version, sys.prefix.split('/.studiolo')[1])"
    assert await client.run(await client.start_kernel(), code) == "1.0 /environment/live\n"
    await engine.stop(handle, grace=timedelta(seconds=20))
    await settle(engine, handle, Phase.ENDED)
