"""The chart gives the engine what it needs: its values are valid, and its Role is enough."""

import asyncio
import json
import tomllib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
import yaml

from engines.kubernetes.conftest import CHART, read_role
from studiolo.engines.base import Phase, WorkloadSpec
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.plugins import find_plugin
from studiolo.testing.fixtures import nothing_wanted
from studiolo.testing.kubernetes.rules import KINDS
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.waiting import settle

_VERBS = ("get", "list", "watch", "create", "delete", "patch")


def test_the_charts_values_keep_its_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(values, json.loads((CHART / "values.schema.json").read_text()))


@pytest.mark.parametrize(
    ("pool", "is_valid"),
    [
        ({"name": "small", "pods": 2, "resources": {"cpu": "2", "memory": "4Gi"}}, True),
        ({"name": "small", "pods": 2}, False),
        ({"name": "Not A Name", "pods": 1, "resources": {"cpu": "2"}}, False),
    ],
)
def test_a_pool_of_places_says_how_large_they_are(pool: dict[str, Any], is_valid: bool) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text()) | {"warm": {"pools": [pool]}}
    schema = jsonschema.Draft7Validator(json.loads((CHART / "values.schema.json").read_text()))
    assert schema.is_valid(values) is is_valid


def test_the_guides_settings_are_those_of_the_plugin() -> None:
    plugin = find_plugin("kubernetes")
    assert plugin is not None
    guide = (CHART.parents[2] / "docs/how-to/engine-kubernetes.md").read_text()
    tables = [block.split("```")[0].replace("\n   ", "\n") for block in guide.split("```toml\n")[1:]]
    found = [tomllib.loads(table)["engines"]["kubernetes"] for table in tables]
    assert len(found) == 2
    for table in found:
        plugin.settings.model_validate({"image": "lab:1"} | table)


@pytest.mark.req("S2-22")
async def test_the_charts_role_is_enough_for_all_that_the_engine_does(
    cluster: FakeCluster, engine: KubernetesEngine, make_spec: Callable[..., WorkloadSpec]
) -> None:
    allowed = {(verb, resource) for rule in read_role() for resource in rule["resources"] for verb in rule["verbs"]}
    cluster.forbidden = {(verb, resource) for verb in _VERBS for resource in KINDS} - allowed
    spec = make_spec()
    handle = await engine.start(spec)
    await settle(engine, handle, Phase.READY)
    await engine.start(make_spec(workload_id=spec.workload_id, launch=2))
    await engine.describe()
    await engine.tail(handle, lines=1)
    await engine.stop(handle, grace=timedelta(seconds=5))
    await settle(engine, handle, Phase.ENDED)
    assert len(await engine.sweep(nothing_wanted)) == 1
    await engine.forget(spec.workload_id)
    async with asyncio.timeout(60):
        while cluster.list_all("pods"):
            await asyncio.sleep(0.02)
    assert cluster.list_all("secrets") == []
