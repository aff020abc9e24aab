"""What an administrator says about a cluster, under `[engines.kubernetes]`, and a profile about one of its sizes."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

AccessMode = Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


def _check_network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


CIDR = Annotated[str, AfterValidator(_check_network)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Toleration(_Model):
    """A taint of nodes that pods bear."""

    key: str = Field(default="", description="The taint's key; empty with `Exists` bears all.")
    operator: Literal["Equal", "Exists"] = Field(default="Equal", description="How key and value are compared.")
    value: str = Field(default="", description="The taint's value.")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(
        default="", description="Which effect is borne; empty: all."
    )


class GPUType(_Model):
    """What a type of GPU is in this cluster."""

    resource: str = Field(default="nvidia.com/gpu", description="The resource that is asked for.")
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels of the nodes that have it.")
    tolerations: tuple[Toleration, ...] = Field(default=(), description="Taints that such nodes have.")


class ClaimSettings(_Model):
    """The claim that a workspace's files are kept in."""

    size_gib: int = Field(default=10, ge=1, description="Size of a new claim, in GiB.")
    storage_class: str | None = Field(default=None, description="Storage class; none: the cluster's default.")
    access_mode: AccessMode | None = Field(
        default=None,
        description="`ReadWriteMany` lets a workspace's sessions run on several nodes; with `ReadWriteOnce` those that "
        "run at once are put on one node; with `ReadWriteOncePod` there can be one at a time. None: as "
        "needed, `ReadWriteMany` for a workspace of several people if `shared_storage_class` is named.",
    )
    shared_storage_class: str | None = Field(
        default=None, description="A storage class whose volumes several nodes can mount, for `ReadWriteMany`."
    )


class NetworkSettings(_Model):
    """What pods of sessions may be reached by, and may reach."""

    policies: bool = Field(default=True, description="Make a NetworkPolicy for each session.")
    platform_labels: dict[str, str] = Field(
        default_factory=lambda: {"app.kubernetes.io/name": "studiolo"},
        description="Labels of the platform's own pods, which reach sessions and are reached by them.",
    )
    platform_namespace: str | None = Field(default=None, description="Their namespace; none: that of the sessions.")
    platform_cidrs: tuple[CIDR, ...] = Field(
        default=(), description="Addresses of a platform outside of the cluster, for example `10.1.2.3/32`."
    )
    egress_cidrs: tuple[CIDR, ...] = Field(default=(), description="What else sessions may reach.")
    dns_cidrs: tuple[CIDR, ...] = Field(
        default=("169.254.20.10/32",),
        description="Where names are looked up besides the pods of kube-system; the default is a node's own cache.",
    )
    pod_cidrs: tuple[CIDR, ...] = Field(
        default=(),
        description="Addresses that pods have; to others the front door does not connect. None: all but those of the "
        "machine itself and of its link.",
    )


class KubernetesSettings(_Model):
    """Sessions as pods of a Kubernetes cluster."""

    kubeconfig: Path | None = Field(default=None, description="How to reach the cluster; none: as a pod inside of it.")
    context: str | None = Field(default=None, description="Which context of the kubeconfig; none: its current one.")
    namespace: Name = Field(default="studiolo", description="Where sessions run. It must be there.")
    platform: Name | None = Field(
        default=None,
        max_length=40,
        description="Tells this platform from others in the namespace; none: its data directory's path does.",
    )
    image: str = Field(min_length=1, description="What sessions run in; it holds our runtime (deploy/images/session).")
    images: tuple[str, ...] = Field(
        default=(), description="Images that sessions may name, `*` for any part of a name; they hold our runtime too."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When nodes pull the image."
    )
    image_pull_secrets: tuple[Name, ...] = Field(default=(), description="Secrets for a registry that wants a login.")
    service_account: Name | None = Field(
        default=None, description="Service account of the pods, whose token they do not get; none: the namespace's own."
    )
    python: str = Field(
        default="/opt/studiolo/bin/python", description="The interpreter with our runtime, in the image."
    )
    environment: str = Field(
        default="/opt/environment",
        description="The environment in the image, a venv that workspaces' own begin from.",
    )
    user_id: int = Field(default=1000, ge=1, description="Numeric account that sessions run as.")
    group_id: int = Field(default=1000, ge=1, description="Numeric group that their files belong to.")
    port: int = Field(default=8888, ge=1024, le=65535, description="Port that sessions listen on.")
    kernels_port: int = Field(default=8889, ge=1024, le=65535, description="Port of the kernel host beside each.")
    claims: ClaimSettings = Field(default=ClaimSettings(), description="Where workspaces' files are kept.")
    datasets_claim: Name | None = Field(
        default=None,
        description="A claim mounted read-only at /datasets in every session, for example shared-datasets.",
    )
    network: NetworkSettings = Field(default=NetworkSettings(), description="What sessions reach.")
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels of the nodes that sessions run on.")
    tolerations: tuple[Toleration, ...] = Field(default=(), description="Taints that sessions bear.")
    gpu_types: dict[str, GPUType] = Field(default_factory=dict, description="GPUs that can be asked for by their type.")
    isolation: Literal["L1", "L2", "L3"] = Field(
        default="L1",
        description="What this cluster keeps apart, as `make test-kubernetes ISOLATION=…` has measured it from inside.",
    )
    limits_processes: bool = Field(
        default=False, description="Whether the nodes' kubelets have a `podPidsLimit`: nothing else limits processes."
    )
    start_seconds: int = Field(default=300, ge=10, description="A server that does not listen by then is ended.")
    environment_seconds: int = Field(
        default=900,
        ge=0,
        description="How long a start may take to make the workspace's environment from its lock; 0: sessions have the "
        "image's own.",
    )
    image_seconds: int = Field(default=120, ge=0, description="How long an image that cannot be pulled is tried for.")


class KubernetesOptions(_Model):
    """What a profile says, under `profiles[].engines.kubernetes`; it is added to the engine's own settings."""

    node_selector: dict[str, str] = Field(default_factory=dict, description="More labels that a node must have.")
    tolerations: tuple[Toleration, ...] = Field(default=(), description="More taints that are borne.")
    priority_class: Name | None = Field(default=None, description="Priority class of the pod.")
    runtime_class: Name | None = Field(default=None, description="Runtime class of the pod, for example a sandbox.")
    image: str | None = Field(default=None, min_length=1, description="Another image that holds our runtime.")
    access_mode: AccessMode | None = Field(
        default=None, description="Access mode of a claim that is made for a session of this size."
    )
    storage_class: str | None = Field(default=None, description="Storage class of a claim that is made for it.")
