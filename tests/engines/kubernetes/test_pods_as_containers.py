"""A pod's manifest really runs JupyterLab: Podman plays it, with the image of deploy/images/session."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.images import session_image
from engines.kubernetes.conftest import ground
from environments.served_index import ServedIndex
from studiolo.engines.base import Limits, Phase, WorkloadSpec
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.runtime import rebuild
from studiolo.runtime.recipes import Recipe
from studiolo.testing.fixtures import SECRET
from studiolo.testing.kubernetes.containers import Containers, podman
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.local import SessionClient
from studiolo.testing.waiting import settle

__all__ = ["session_image"]
# Where `podman kube play` puts pods.
_NETWORK = "podman-default-kube-network"
# An image may be made first, of packages from an index.
pytestmark = [pytest.mark.engine, pytest.mark.engine_podman, pytest.mark.engine_kube, pytest.mark.timeout(1500)]


@pytest.fixture
async def engine(
    session_image: str,
    cluster: FakeCluster,
    run_dir: Path,
) -> AsyncIterator[KubernetesEngine]:
    """The engine on a cluster whose node is Podman."""
    run_dir.chmod(0o755)
    cluster.runner = Containers(cluster, run_dir).run
    # Those of Podman's networks: the fake cluster's own pods are on loopback.
    network = {"pod_cidrs": ["10.0.0.0/8"]}
    settings = KubernetesSettings.model_validate(cluster.settings(run_dir, image=session_image, network=network))
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


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[ServedIndex]:
    """An index where pods reach this machine."""
    with contextlib.suppress(ChildProcessError):
        await podman("network", "create", _NETWORK)
    gateway = await podman("network", "inspect", "--format", "{{(index .Subnets 0).Gateway}}", _NETWORK)
    folder = tmp_path / "index"
    folder.mkdir()
    index = ServedIndex(folder, gateway.strip())
    yield index
    index.close()


@pytest.mark.req("S1-30")
async def test_a_workspaces_environment_lies_in_its_claim_and_outlives_its_pods(
    engine: KubernetesEngine, make_spec: Callable[..., WorkloadSpec], index: ServedIndex
) -> None:
    recipe = Recipe("hash", "", added=(index.add("tiny", "1.0"),))
    index.add("mine", "2.0")
    variables = {"UV_DEFAULT_INDEX": index.url, "PIP_INDEX_URL": index.url, "PIP_TRUSTED_HOST": index.host}
    spec = make_spec(recipe=recipe, netrc=index.netrc, variables=variables)
    install = "import subprocess as s; print(s.run('pip install --quiet mine', shell=True).returncode)"
    look = "import mine, sys, tiny; print(mine.version, tiny.version, sys.prefix)"
    there = "2.0 1.0 /workspace/.studiolo/environment/live\n"
    for launch, cells in enumerate(([(install, "0\n"), (look, there)], [(look, there)]), start=1):
        handle = await engine.start(replace(spec, launch=launch))
        seen = await settle(engine, handle, Phase.READY, Phase.ENDED)
        log = "\n".join(await engine.tail(handle, lines=200))
        assert seen.upstream is not None, (seen, log)
        client = SessionClient.at(seen.upstream, spec.base_url, SECRET)
        kernel = await client.start_kernel()
        for code, printed in cells:
            assert await client.run(kernel, code) == printed, log
        # By the second launch it is there.
        assert (f"{rebuild.PROGRESS}copying" in log) is (launch == 1), log
        await engine.stop(handle, grace=timedelta(seconds=20))
        await settle(engine, handle, Phase.ENDED)
