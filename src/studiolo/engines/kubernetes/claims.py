"""The claim that keeps a workspace's files: found by its label, made with the access mode that is needed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Unavailable
from studiolo.engines.kubernetes import names
from studiolo.engines.kubernetes.api import ClusterAPI, Object, RefusedError
from studiolo.engines.kubernetes.settings import AccessMode, KubernetesOptions, KubernetesSettings

_LOST = "Lost"


@dataclass(frozen=True, slots=True)
class Claim:
    """A workspace's claim, or the one that is to be made for it. `modes`: how it can be mounted."""

    name: str
    modes: tuple[str, ...]
    storage_class: str | None = None
    is_there: bool = False

    @property
    def is_of_one_node(self) -> bool:
        """Whether all pods that mount it at a time must be on one node."""
        return "ReadWriteOnce" in self.modes and "ReadWriteMany" not in self.modes


def workspace_key(folder: Path) -> str:
    """Return the value of the label by which a workspace's claim is found, whatever the workspace is called."""
    return names.digest(str(folder))


async def find(api: ClusterAPI, instance: str, folder: Path) -> Claim | None:
    """Return the claim that a workspace has, whatever it was called when that was made.

    Raises Unavailable (`engine-unavailable`) for one that is lost or on its way out: a new one would be empty.
    """
    wanted = f"{names.INSTANCE}={instance},{names.WORKSPACE}={workspace_key(folder)}"
    found = await api.list(api.path("persistentvolumeclaims"), labelSelector=wanted)
    read = sorted((_read(item) for item in found), key=lambda one: one[0].name)
    for claim, fault in read:
        if fault:
            raise Unavailable(
                "engine-unavailable",
                f"The volume of the workspace's files {fault}.",
                hint=f"An administrator looks at the claim {claim.name} in the cluster.",
            )
    return read[0][0] if read else None


async def ensure(api: ClusterAPI, claim: Claim, manifest: Object) -> None:
    """Make a claim if it is not there. Raises RefusedError."""
    if claim.is_there:
        return
    try:
        await api.create(api.path("persistentvolumeclaims"), manifest)
    except RefusedError as refused:
        if not refused.is_duplicate:
            raise


def plan(
    folder: Path,
    workspace: str,
    settings: KubernetesSettings,
    instance: str,
    *,
    options: KubernetesOptions | None = None,
    is_shared: bool = False,
) -> Claim:
    """Return the claim to make for a workspace that has none. `is_shared`: several people work in it. Pure."""
    wanted, options = settings.claims, options or KubernetesOptions()
    needed: AccessMode = "ReadWriteMany" if is_shared and wanted.shared_storage_class else "ReadWriteOnce"
    mode = options.access_mode or wanted.access_mode or needed
    of_mode = wanted.shared_storage_class if mode == "ReadWriteMany" else None
    name = names.claim_name(workspace, f"{instance}:{folder}")
    return Claim(name, (mode,), options.storage_class or of_mode or wanted.storage_class)


def manifest(claim: Claim, folder: Path, workspace: str, settings: KubernetesSettings, instance: str) -> Object:
    """Return the claim as an object. It belongs to no launch and is never removed by us. Pure."""
    body: dict[str, Any] = {
        "accessModes": list(claim.modes),
        "resources": {"requests": {"storage": f"{settings.claims.size_gib}Gi"}},
    }
    if claim.storage_class is not None:
        body["storageClassName"] = claim.storage_class
    labels = {names.INSTANCE: instance, names.WORKSPACE: workspace_key(folder), **names.MANAGED}
    metadata = {"name": claim.name, "labels": labels, "annotations": {f"{names.DOMAIN}/workspace": workspace}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": body}


def _read(item: Object) -> tuple[Claim, str]:
    """Return a claim, and what is wrong with it in words, or nothing."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    claim = Claim(metadata["name"], tuple(spec.get("accessModes") or ()), is_there=True)
    if metadata.get("deletionTimestamp"):
        return claim, "is being removed by somebody"
    if status.get("phase") == _LOST:
        return claim, "is lost: what kept them is gone"
    return claim, ""
