"""The chart gives the engine what it needs: its values are valid, and its Role is enough."""

import asyncio
import hashlib
import importlib.util
import json
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from engines.kubernetes.conftest import CHART, read_role
from studiolo.engines.base import Phase, WorkloadSpec
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.engines.plugins import find_plugin
from studiolo.server.settings import Settings, load_settings
from studiolo.testing.fixtures import nothing_wanted
from studiolo.testing.kubernetes.rules import KINDS, check_security
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.waiting import settle

_SIZES = pytest.mark.parametrize("size", ["small", "large"])
_HELM = pytest.mark.skipif(shutil.which("helm") is None, reason="there is no Helm")
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


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("render_chart", CHART.parents[2] / "scripts/render_chart.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _text(size: str) -> str:
    return (Path(__file__).with_name("golden") / f"chart-{size}.yaml").read_text()


def _made(size: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What the chart makes, by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(_text(size)) if one}


def _pods(size: str) -> dict[str, dict[str, Any]]:
    """The pods that it makes, by the names of what makes them."""
    return {
        name: one["spec"]["template"] for (_, name), one in _made(size).items() if "template" in one.get("spec", {})
    }


@_SIZES
def test_what_the_chart_makes_is_on_record_and_valid(size: str) -> None:
    assert _script().digest() in _text(size).splitlines()[0], "run scripts/render_chart.py, which needs Helm"
    for one in _made(size).values():
        for version in ("1.30", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(one, version, strict=True)


@_HELM
@_SIZES
def test_helm_makes_what_is_on_record(size: str) -> None:
    assert _script().render(size) == _text(size).partition("\n")[2]


@_HELM
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["postgresql.enabled=true", "postgresql.existingSecret=mine"], "give one of them"),
        (["replicas=2"], "'replicas' not allowed"),
        (["postgresql.size=large"], "postgresql/size"),
    ],
)
def test_helm_refuses_what_cannot_be_and_says_why(given: list[str], said: str) -> None:
    argv = ["helm", "template", "lab", str(CHART), *(word for one in given for word in ("--set", one))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr


@_SIZES
def test_pods_of_the_chart_keep_the_restricted_standard_and_have_no_token_they_do_not_need(size: str) -> None:
    for name, pod in _pods(size).items():
        spec = pod["spec"]
        everything = [*spec.get("initContainers", []), *spec["containers"]]
        check_security({"metadata": {"name": name}, "spec": {**spec, "containers": everything}})
        assert spec["automountServiceAccountToken"] is (name == "lab")
        assert all({"cpu", "memory"} <= set(one["resources"]["requests"]) for one in everything)
        # Nothing ends a pod that is busy.
        assert not [one for one in everything if "livenessProbe" in one]


def test_only_the_platform_comes_to_its_postgresql(make_spec: Callable[..., WorkloadSpec]) -> None:
    made, pods = _made("large"), _pods("large")

    def fits(selector: dict[str, str]) -> set[str]:
        return {name for name, pod in pods.items() if selector.items() <= pod["metadata"]["labels"].items()}

    policy = made["NetworkPolicy", "lab-postgresql"]["spec"]
    assert fits(policy["podSelector"]["matchLabels"]) == {"lab-postgresql"}
    assert fits(made["Service", "lab-postgresql"]["spec"]["selector"]) == {"lab-postgresql"}
    assert fits(made["Service", "lab"]["spec"]["selector"]) == {"lab"}
    rule, callers = policy["ingress"][0], policy["ingress"][0]["from"][0]
    assert (len(policy["ingress"]), len(rule["from"]), list(callers)) == (1, 1, ["podSelector"])
    assert fits(callers["podSelector"]["matchLabels"]) == {"lab"}
    assert (sorted(policy["policyTypes"]), policy["egress"]) == (["Egress", "Ingress"], [])
    # The policies of sessions let this one in, and it alone.
    settings = tomllib.loads(made["ConfigMap", "lab"]["data"]["studiolo.toml"])["engines"]["kubernetes"]
    assert fits(settings["network"]["platform_labels"]) == {"lab"}


def test_the_platform_gets_the_settings_and_the_database_that_the_values_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _made("large")
    (tmp_path / "studiolo.toml").write_text(made["ConfigMap", "lab"]["data"]["studiolo.toml"])
    monkeypatch.setenv("STUDIOLO_CONFIG", str(tmp_path / "studiolo.toml"))
    settings = load_settings()
    assert (settings.engines.default, settings.sessions.max_running) == ("kubernetes", 500)
    engine = KubernetesSettings.model_validate(settings.engines.tables["kubernetes"])
    assert (engine.namespace, engine.node_selector) == ("team", {"pool": "people"})
    container = _pods("large")["lab"]["spec"]["containers"][0]
    variables = {one["name"]: one for one in container["env"]}
    secret = variables["STUDIOLO_DATABASE_URL"]["valueFrom"]["secretKeyRef"]
    assert made["Secret", secret["name"]]["stringData"][secret["key"]].startswith("postgresql+asyncpg://studiolo:")
    assert container["envFrom"] == [{"secretRef": {"name": "lab-settings"}}]
    assert "STUDIOLO_DATABASE_URL" not in _text("small")
    # What NOTES.txt tells to remove, this platform has made.
    folder = Path(variables["STUDIOLO_DATA_DIR"]["value"])
    assert Settings(data_dir=folder).instance == hashlib.sha256(str(folder).encode()).hexdigest()[:8]


@pytest.mark.parametrize(("name", "starts"), [("lab-0", True), ("lab-1", False), ("lab-10", False)])
def test_a_second_pod_of_the_platform_does_not_start(name: str, starts: bool) -> None:
    check = _pods("small")["lab"]["spec"]["initContainers"][0]
    argv = [*check["command"], *check["args"]]
    done = subprocess.run(argv, env={"HOSTNAME": name}, capture_output=True, text=True, check=False)
    assert (done.returncode == 0, "one replica" in done.stderr) == (starts, not starts)


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
