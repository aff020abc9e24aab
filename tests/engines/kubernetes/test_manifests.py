"""What is made in a cluster for a launch: as the seed's template has it, valid by the published schemas, and text stays text."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.contract.errors import InvalidInput
from studiolo.engines.base import Limits, Volume, WorkloadSpec
from studiolo.engines.kubernetes import claims, manifests, names, policies
from studiolo.engines.kubernetes.manifests import Manifest, Plan
from studiolo.engines.kubernetes.settings import KubernetesOptions, KubernetesSettings
from studiolo.runtime.launch import LaunchRequest

_GOLDEN = Path(__file__).with_name("golden")
_GIB = 1024**3
_SPEC = WorkloadSpec(
    workload_id="s-0123456789abcdef",
    launch=3,
    folder=Path("/data/workspaces/w-1"),
    environment=Path("/data/environments/w-1"),
    base_url="/s/s-0123456789abcdef/",
    secret="secret-of-this-launch",
    person="ana",
    labels={"workspace": "ana/Churn: 2026", "e-mail": "ana.ruiz@example.org"},
    variables={"MLFLOW_TRACKING_URI": "http://mlflow:5000", "JUPYTER_CONFIG_DIR": "/data/people/p-ana/w-1/config"},
    tool_files={"/data/environments/w-1/pip.conf": "[global]\n", "/etc/elsewhere": "no"},
)
_PLAIN = KubernetesSettings(image="registry.example.org/lab:1")
_FULL = KubernetesSettings.model_validate(
    {
        "image": "registry.example.org/lab:1",
        "image_pull_secrets": ["registry"],
        "service_account": "jupyter-notebook",
        "datasets_claim": "shared-datasets",
        "claims": {"access_mode": "ReadWriteMany", "storage_class": "nfs", "size_gib": 50},
        "network": {
            "platform_namespace": "platform",
            "platform_cidrs": ["10.1.2.3/32"],
            "egress_cidrs": ["10.9.0.0/16"],
        },
        "node_selector": {"pool": "people"},
        "tolerations": [{"key": "people", "operator": "Exists"}],
        "gpu_types": {
            "a100": {"node_selector": {"gpu": "a100"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}
        },
    }
)
_OPTIONS = KubernetesOptions.model_validate({"priority_class": "high", "node_selector": {"zone": "b"}})


def _plan(
    spec: WorkloadSpec = _SPEC, settings: KubernetesSettings = _PLAIN, options: KubernetesOptions | None = None
) -> Plan:
    options = options or KubernetesOptions()
    claim = claims.plan(spec.folder, manifests.workspace_name(spec), settings, "tests", options=options)
    return Plan(spec, settings, options, "tests", claim, 10.0)


def _claim(plan: Plan) -> Manifest:
    name = manifests.workspace_name(plan.spec)
    return claims.manifest(plan.claim, plan.spec.folder, name, plan.settings, plan.instance)


def _policy(plan: Plan) -> Manifest:
    return policies.policy(plan.settings, plan.instance, plan.spec.workload_id)


_SMALL = _plan(replace(_SPEC, limits=Limits(cpu=0.5, memory=1_500_000_000)))
_LARGE = _plan(
    replace(_SPEC, limits=Limits(cpu=4, memory=16 * _GIB, gpu=2, gpu_type="a100", disk=20 * _GIB, seconds=28800)),
    _FULL,
    _OPTIONS,
)


def _validate(manifest: Manifest) -> None:
    for version in ("1.30", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.req("S2-08", "S2-09", "S2-10", "S2-21", "S2-22", "S2-23")
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize(("kind", "make"), [("pod", manifests.pod), ("claim", _claim), ("policy", _policy)])
def test_each_manifest_is_the_one_on_record_and_valid(kind: str, make: Callable[[Plan], Manifest], size: str) -> None:
    manifest = make(_SMALL if size == "small" else _LARGE)
    assert manifest == json.loads((_GOLDEN / f"{kind}-{size}.json").read_text())
    _validate(manifest)


def test_the_secret_holds_the_request_as_the_pod_sees_it() -> None:
    manifest = manifests.secret(_SMALL)
    _validate(manifest)
    request = LaunchRequest.from_line(manifest["stringData"]["request.json"].encode())
    assert request.folder == "/workspace"
    assert request.listen == "tcp://0.0.0.0:8888"
    assert request.variables["JUPYTER_CONFIG_DIR"] == "/workspace/.studiolo/jupyter/p-ana/config"
    assert list(request.tool_files) == ["/opt/environment/pip.conf"]
    assert _SPEC.secret not in json.dumps(manifests.pod(_SMALL))


@pytest.mark.req("S2-100", "S2-102", "A-25")
def test_names_and_labels_are_the_seeds_sanitised_and_the_address_is_an_annotation() -> None:
    metadata = manifests.pod(_SMALL)["metadata"]
    assert metadata["name"] == "jupyter-ana-s-0123456789abcdef-3"
    assert metadata["labels"]["app"] == "jupyterlab"
    assert metadata["labels"]["user"] == "ana.ruiz-example.org"
    assert metadata["labels"]["workspace"] == "Churn-2026"
    assert metadata["annotations"]["studiolo.dev/user"] == "ana.ruiz@example.org"


@pytest.mark.req("S2-103", "S2-104", "S2-105", "S2-106", "S2-107", "S2-108", "S2-109", "S2-110", "S2-111", "S2-112")
def test_the_pod_has_all_that_the_seeds_template_has() -> None:
    spec = manifests.pod(_LARGE)["spec"]
    container = spec["containers"][0]
    asked = {"cpu": "4", "memory": "16384Mi", "ephemeral-storage": "20480Mi", "nvidia.com/gpu": "2"}
    assert container["resources"] == {"requests": asked, "limits": asked}
    assert spec["serviceAccountName"] == "jupyter-notebook"
    assert container["name"] == "jupyterlab"
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    assert variables == {"JUPYTER_ENABLE_LAB": "yes", "MLFLOW_TRACKING_URI": "http://mlflow:5000"}
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["workspace"]["mountPath"] == "/workspace"
    assert mounts["shared-datasets"] == {"name": "shared-datasets", "mountPath": "/datasets", "readOnly": True}
    claims = [
        volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume
    ]
    assert claims[0].startswith("workspace-churn-2026-")
    assert claims[1] == "shared-datasets"


@pytest.mark.req("A-26")
def test_no_gpu_is_no_key_and_odd_memory_is_rounded_up_to_mebibytes() -> None:
    amounts = manifests.pod(_SMALL)["spec"]["containers"][0]["resources"]["limits"]
    assert amounts == {"cpu": "500m", "memory": "1431Mi"}


@pytest.mark.req("A-12")
def test_a_gpu_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInput, match="a100"):
        manifests.pod(_plan(replace(_SPEC, limits=Limits(gpu=1, gpu_type="h900")), _FULL))


def test_an_image_is_one_that_the_settings_name() -> None:
    open_to_some = _PLAIN.model_copy(update={"images": ("registry.example.org/*",)})
    wanted = replace(_SPEC, image="registry.example.org/torch:2")
    assert manifests.pod(_plan(wanted, open_to_some))["spec"]["containers"][0]["image"] == wanted.image
    with pytest.raises(InvalidInput, match="torch:2"):
        manifests.pod(_plan(wanted))


def test_a_volume_of_one_node_takes_the_workspaces_sessions_to_one_node() -> None:
    assert "podAffinity" in manifests.pod(_SMALL)["spec"]["affinity"]
    assert "affinity" not in manifests.pod(_LARGE)["spec"]


@pytest.mark.req("S3-17")
def test_attached_volumes_are_claims_at_their_names_and_read_only_where_they_are_said_to_be() -> None:
    wanted = (Volume("Models 2026", claim="models"), Volume("out", claim="results", read_only=False))
    spec = manifests.pod(_plan(replace(_SPEC, volumes=(*wanted, Volume("here", path=Path("/srv"))))))["spec"]
    mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    claims_of = {one["name"]: one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"][-2:]}
    found = {
        path: (claims_of[mount["name"]], mount["readOnly"])
        for path, mount in mounts.items()
        if path.startswith("/volumes/")
    }
    assert found == {"/volumes/Models 2026": ("models", True), "/volumes/out": ("results", False)}
    _validate(manifests.pod(_plan(replace(_SPEC, volumes=wanted))))


def test_a_session_has_no_rights_and_no_token() -> None:
    spec = manifests.pod(_SMALL)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_workspaces_of_one_name_have_a_claim_each_also_those_of_another_platform() -> None:
    plans = [("w-1", "one"), ("w-2", "one"), ("w-1", "two")]
    assert len({claims.plan(Path("/data", folder), "churn", _PLAIN, platform).name for folder, platform in plans}) == 3


@given(st.text(max_size=200))
def test_whatever_people_write_a_pod_is_valid_and_says_it_nowhere_but_in_values(text: str) -> None:
    spec = replace(_SPEC, person=text, labels={"workspace": text, text: text}, variables={"MLFLOW_TRACKING_URI": text})
    pod = manifests.pod(_plan(spec))
    metadata = pod["metadata"]
    assert names.slug(text) in metadata["name"]
    assert len(metadata["name"]) <= 63
    assert all(_is_label(value) for value in metadata["labels"].values())
    tracking = [variable["value"] for variable in pod["spec"]["containers"][0]["env"][1:]]
    assert tracking == ([text.replace("$", "$$")] if text else [])


@given(st.text(max_size=100), st.integers(1, 60))
def test_a_slug_is_a_dns_label(text: str, length: int) -> None:
    slug = names.slug(text, length=length)
    assert 0 < len(slug) <= length
    assert slug.isascii()
    assert slug.replace("-", "a").isalnum()
    assert not slug.startswith("-")
    assert not slug.endswith("-")


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("2", 2),
        ("500m", 0.5),
        ("1431Mi", 1431 * 1024**2),
        ("2Gi", 2 * _GIB),
        ("1e3", 1000),
        ("12k", 12000),
        ("3M", 3e6),
    ],
)
def test_quantities_are_read(quantity: str, amount: float) -> None:
    assert names.amount(quantity) == amount


def _is_label(value: Any) -> bool:
    ends = value[:1] + value[-1:]
    inner = value.replace("-", "").replace("_", "").replace(".", "")
    return len(value) <= 63 and value.isascii() and (not value or (ends.isalnum() and inner.isalnum()))
