"""What is made in the cluster for a launch, as plain objects. Pure: spec and settings in, manifests out.

A Secret stands for the launch and holds its request, and a Pod runs it (see `claims` and `policies` for what else there
is). People's text is only ever a value: sanitised in labels, whole in annotations.
"""

import fnmatch
from dataclasses import dataclass
from typing import Any

from studiolo.contract.errors import InvalidInput
from studiolo.engines.base import Limits, Volume, WorkloadSpec
from studiolo.engines.kubernetes import names, places
from studiolo.engines.kubernetes.claims import Claim, workspace_key
from studiolo.engines.kubernetes.settings import GPUType, KubernetesOptions, KubernetesSettings

Manifest = dict[str, Any]
CONTAINER = "jupyterlab"
_REQUEST_KEY = "request.json"
# Kept by the seed's template; an image of Jupyter's own reads it.
_LAB = {"name": "JUPYTER_ENABLE_LAB", "value": "yes"}
_TRACKING = "MLFLOW_TRACKING_URI"
_READABLE_BY_GROUP = 0o440


@dataclass(frozen=True, slots=True)
class Plan:
    """One launch in one cluster. `claim` is the workspace's; `stop_grace` is in seconds."""

    spec: WorkloadSpec
    settings: KubernetesSettings
    options: KubernetesOptions
    instance: str
    claim: Claim
    stop_grace: float


def secret(plan: Plan) -> Manifest:
    """Return the Secret that stands for the launch. Whoever makes it has taken the launch's number."""
    request = places.request_in_pod(plan.spec, plan.settings, stop_grace=plan.stop_grace)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(plan, names.secret_name(plan.spec.workload_id, plan.spec.launch)),
        "type": "Opaque",
        "stringData": {_REQUEST_KEY: request.to_line().decode()},
    }


def pod(plan: Plan) -> Manifest:
    """Return the Pod that runs the launch.

    Raises InvalidInput (`gpu-not-available`, `image-not-allowed`) for what the settings do not name.
    """
    spec, settings, options = plan.spec, plan.settings, plan.options
    gpu = _gpu(spec.limits, settings)
    body: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": max(1, round(plan.stop_grace)),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": settings.user_id,
            "runAsGroup": settings.group_id,
            "fsGroup": settings.group_id,
            # Else each start of a large workspace changes the group of all its files.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(plan, gpu)],
        "volumes": _volumes(plan),
    }
    selector = {**settings.node_selector, **(gpu.node_selector if gpu else {}), **options.node_selector}
    tolerations = [*settings.tolerations, *(gpu.tolerations if gpu else ()), *options.tolerations]
    optional = {
        "serviceAccountName": settings.service_account,
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        "nodeSelector": selector,
        "tolerations": [toleration.model_dump(exclude_defaults=True) for toleration in tolerations],
        "priorityClassName": options.priority_class,
        "runtimeClassName": options.runtime_class,
        "activeDeadlineSeconds": spec.limits.seconds,
        "affinity": _beside_others(plan),
    }
    body |= {name: value for name, value in optional.items() if value}
    metadata = _metadata(plan, names.pod_name(spec.person, spec.workload_id, spec.launch))
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}


def workspace_name(spec: WorkloadSpec) -> str:
    """Return what people call the workspace, without its owner."""
    return spec.labels.get("workspace", "").rpartition("/")[2] or spec.folder.name


def _metadata(plan: Plan, name: str) -> Manifest:
    spec = plan.spec
    person = spec.labels.get("e-mail") or spec.person
    labels = {
        "app": CONTAINER,
        "user": names.label(person),
        "workspace": names.label(workspace_name(spec)),
        **names.MANAGED,
        **names.of_launch(plan.instance, spec.workload_id, spec.launch),
        names.WORKSPACE: workspace_key(spec.folder),
    }
    told = {"workspace": workspace_name(spec), **spec.labels, "user": person}
    annotations = {f"{names.DOMAIN}/{names.slug(key)}": value for key, value in sorted(told.items()) if value}
    if recipe := places.recipe_of(spec, plan.settings):
        annotations[names.RECIPE] = recipe.hash
    return {"name": name, "labels": labels, "annotations": annotations}


def _container(plan: Plan, gpu: GPUType | None) -> Manifest:
    settings = plan.settings
    mounts = [
        {"name": names.WORKSPACE_VOLUME, "mountPath": places.WORKSPACE},
        {"name": "request", "mountPath": places.REQUEST, "readOnly": True},
        {"name": "state", "mountPath": places.STATE},
    ]
    if settings.datasets_claim:
        mounts.append({"name": "shared-datasets", "mountPath": places.DATASETS, "readOnly": True})
    for name, volume in _attached(plan.spec).items():
        mounts.append({"name": name, "mountPath": f"{places.VOLUMES}/{volume.name}", "readOnly": volume.read_only})
    amounts = _amounts(plan.spec.limits, gpu)
    tracking = plan.spec.variables.get(_TRACKING)
    return {
        "name": CONTAINER,
        "image": _image(plan),
        "imagePullPolicy": settings.image_pull_policy,
        "command": [settings.python, "-P", "-m", "studiolo.runtime.workload", places.REQUEST],
        "workingDir": places.WORKSPACE,
        "env": [_LAB, *([{"name": _TRACKING, "value": _literal(tracking)}] if tracking else [])],
        "ports": [
            {"name": "http", "containerPort": settings.port, "protocol": "TCP"},
            {"name": names.KERNELS_PORT, "containerPort": settings.kernels_port, "protocol": "TCP"},
        ],
        "resources": {"requests": amounts, "limits": dict(amounts)} if amounts else {},
        "volumeMounts": mounts,
        # `started` never goes back: a server that is busy, or starts anew, is no reason to hide a session.
        "startupProbe": {
            "tcpSocket": {"port": settings.port},
            "periodSeconds": 1,
            "failureThreshold": settings.start_seconds + _environment_seconds(plan),
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "privileged": False, "capabilities": {"drop": ["ALL"]}},
    }


def _environment_seconds(plan: Plan) -> int:
    """What making its environment may take of the pod's start."""
    return plan.settings.environment_seconds if places.recipe_of(plan.spec, plan.settings) else 0


def _volumes(plan: Plan) -> list[Manifest]:
    secret_name = names.secret_name(plan.spec.workload_id, plan.spec.launch)
    volumes: list[Manifest] = [
        {"name": names.WORKSPACE_VOLUME, "persistentVolumeClaim": {"claimName": plan.claim.name}},
        {"name": "request", "secret": {"secretName": secret_name, "defaultMode": _READABLE_BY_GROUP}},
        {"name": "state", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
    ]
    if name := plan.settings.datasets_claim:
        volumes.append({"name": "shared-datasets", "persistentVolumeClaim": {"claimName": name, "readOnly": True}})
    for name, volume in _attached(plan.spec).items():
        # Read-only at the mount alone: one that is so here would be attached read-only for a writer on the same node.
        volumes.append({"name": name, "persistentVolumeClaim": {"claimName": volume.claim}})
    return volumes


def _attached(spec: WorkloadSpec) -> dict[str, Volume]:
    """Return the volumes that are claims, by a name that a pod's volume may have."""
    claims = [volume for volume in spec.volumes if volume.claim]
    return {f"volume-{number}": volume for number, volume in enumerate(claims, start=1)}


def _amounts(limits: Limits, gpu: GPUType | None) -> dict[str, str]:
    """Return what is asked for, which is also what may be used. A GPU is named only where there is one."""
    amounts = {}
    if limits.cpu is not None:
        amounts["cpu"] = names.cpu(limits.cpu)
    if limits.memory is not None:
        amounts["memory"] = names.mebibytes(limits.memory)
    if limits.disk is not None:
        amounts["ephemeral-storage"] = names.mebibytes(limits.disk)
    if gpu is not None:
        amounts[gpu.resource] = str(limits.gpu)
    return amounts


def _image(plan: Plan) -> str:
    own = [image for image in (plan.options.image, plan.settings.image) if image]
    wanted = plan.spec.image or own[0]
    if wanted in own or any(fnmatch.fnmatchcase(wanted, allowed) for allowed in plan.settings.images):
        return wanted
    raise InvalidInput(
        "image-not-allowed",
        f"Sessions here may not run in the image {wanted}.",
        hint=f"Choose one of: {', '.join([*own, *plan.settings.images])}.",
    )


def _gpu(limits: Limits, settings: KubernetesSettings) -> GPUType | None:
    if not limits.gpu:
        return None
    if limits.gpu_type is None:
        return GPUType()
    found = settings.gpu_types.get(limits.gpu_type)
    if found is None:
        known = ", ".join(sorted(settings.gpu_types)) or "none by name"
        raise InvalidInput(
            "gpu-not-available",
            f"The cluster has no GPU of the type {limits.gpu_type!r}; there are: {known}.",
            hint="Ask for one of these, or for a GPU of any type.",
        )
    return found


def _beside_others(plan: Plan) -> Manifest | None:
    """A volume that one node mounts at a time takes all pods of its workspace to that node."""
    if not plan.claim.is_of_one_node:
        return None
    same = {"matchLabels": {names.INSTANCE: plan.instance, names.WORKSPACE: workspace_key(plan.spec.folder)}}
    term = {"labelSelector": same, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _literal(text: str) -> str:
    """Return a variable's value with what Kubernetes would expand in it doubled."""
    return text.replace("$", "$$")
