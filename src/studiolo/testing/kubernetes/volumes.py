"""Volumes of pods that run on this machine: a folder each, and what Secrets hold in them."""

import base64
from pathlib import Path

from studiolo.testing.kubernetes.pods import Pod
from studiolo.testing.kubernetes.server import FakeCluster


def make_folders(cluster: FakeCluster, pod: Pod, folder: Path) -> dict[str, Path]:
    """Make the folders of a pod's volumes below `folder`, claims in `folder`/claims; returns them by their names."""
    secrets = {secret["metadata"]["name"]: secret for secret in cluster.list_all("secrets")}
    made = {}
    for volume in pod.manifest["spec"]["volumes"]:
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        path = folder / "claims" / claim if claim else folder / pod.name / volume["name"]
        path.mkdir(parents=True, exist_ok=True)
        made[volume["name"]] = path
        if "secret" in volume:
            for name, data in secrets[volume["secret"]["secretName"]]["data"].items():
                (path / name).write_bytes(base64.b64decode(data))
    return made
