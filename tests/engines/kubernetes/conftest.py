"""A fake cluster, and the Kubernetes engine on it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from studiolo.contract.ids import IdKind, new_id
from studiolo.engines.base import WorkloadSpec
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.engines.plugins import EngineGround
from studiolo.testing.fixtures import SECRET
from studiolo.testing.kubernetes.server import FakeCluster

CHART = Path(__file__).parents[3] / "deploy/helm/studiolo"


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    """A cluster whose pods are ready at once."""
    async with FakeCluster().serve() as cluster:
        yield cluster


@pytest.fixture
async def engine(cluster: FakeCluster, tmp_path: Path) -> AsyncIterator[KubernetesEngine]:
    """The engine, with the settings of an administrator who sets what must be set."""
    engine = KubernetesEngine(ground(tmp_path), KubernetesSettings.model_validate(cluster.settings(tmp_path)))
    yield engine
    await engine.aclose()


@pytest.fixture
def make_spec(tmp_path: Path) -> Callable[..., WorkloadSpec]:
    """Makes specs with a fresh id each; members can be given."""

    def make(**given: Any) -> WorkloadSpec:
        workload_id = new_id(IdKind.SESSION)
        values: dict[str, Any] = {
            "workload_id": workload_id,
            "launch": 1,
            "folder": tmp_path / "workspaces" / "w-1",
            "environment": tmp_path / "environments" / "w-1",
            "base_url": f"/s/{workload_id}/",
            "secret": SECRET,
            "person": "ana",
            "labels": {"workspace": "churn"},
        }
        return WorkloadSpec(**(values | given))

    return make


def read_role() -> list[dict[str, Any]]:
    """Return the rules of the chart's Role."""
    text = (CHART / "templates/rights.yaml").read_text()
    rules: list[dict[str, Any]] = yaml.safe_load(text.split("\nrules:\n")[1].split("\n---\n")[0])
    return rules


def ground(folder: Path) -> EngineGround:
    """Return what the engine may know of a platform in `folder`."""
    return EngineGround(folder, folder / "s", "tests", "http://127.0.0.1:1", stop_grace=5.0)
