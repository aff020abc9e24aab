"""A pod's manifest really runs JupyterLab: Podman plays it, with the image of deploy/images/session."""

import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from engines.kubernetes.conftest import ground, settle
from studiolo.engines.base import Limits, Phase, WorkloadSpec
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.testing.fixtures import SECRET
from studiolo.testing.kubernetes.containers import Containers
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.local import SessionClient

_IMAGE = os.environ.get("STUDIOLO_TEST_POD_IMAGE")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.engine_kube,
    pytest.mark.skipif(not _IMAGE, reason="STUDIOLO_TEST_POD_IMAGE names no image that Podman has"),
]


@pytest.fixture
async def engine(cluster: FakeCluster, run_dir: Path) -> AsyncIterator[KubernetesEngine]:
    """The engine on a cluster whose node is Podman."""
    run_dir.chmod(0o755)
    cluster.runner = Containers(cluster, run_dir).run
    settings = KubernetesSettings.model_validate(cluster.settings(run_dir, image=str(_IMAGE)))
    engine = KubernetesEngine(ground(run_dir), settings)
    yield engine
    await engine.aclose()


async def test_a_session_in_a_container_is_nobody_special_and_keeps_its_files_in_its_claim(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Callable[..., WorkloadSpec], run_dir: Path
) -> None:
    spec = make_spec(limits=Limits(cpu=1, memory=1 << 30))
    handle = await engine.start(spec)
    seen = await settle(engine, handle, Phase.READY, Phase.ENDED)
    assert seen.upstream is not None, (seen, cluster.logs)
    client = SessionClient.at(seen.upstream, spec.base_url, SECRET)
    code = "import os, pathlib; pathlib.Path('made').touch(); print(os.getuid(), os.getcwd())"
    assert await client.run(await client.start_kernel(), code) == "1000 /workspace\n"
    rights = "print([line.split()[1] for line in open('/proc/self/status') if line[:6] in ('CapEff', 'NoNewP')])"
    assert await client.run(await client.start_kernel("two.ipynb"), rights) == "['0000000000000000', '1']\n"
    assert list((run_dir / "claims").glob("workspace-churn-*/made"))
    await engine.stop(handle, grace=timedelta(seconds=20))
    ended = await settle(engine, handle, Phase.ENDED)
    assert ended.exit is not None
    assert ended.exit.reason == "stopped"
