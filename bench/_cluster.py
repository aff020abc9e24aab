"""A fake Kubernetes API in a process of its own, whose pods all run already.

Prints where its kubeconfig is; each line on standard input names a pod that ends then.
"""

import asyncio
import sys
from pathlib import Path

from studiolo.testing.kubernetes.server import FakeCluster

_INSTANCE = "bench"


async def main(folder: Path, count: int) -> None:
    """Serve `count` pods until standard input ends."""
    cluster = FakeCluster()
    for number in range(count):
        cluster.plant(_pod(number))
    async with cluster.serve():
        print(cluster.kubeconfig(folder), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            await cluster.kill(line.strip())


def _pod(number: int) -> dict[str, object]:
    """Return a pod with as much in it as the engine's own have, and what clusters add to those."""
    workload = f"s-{number:016d}"
    labels = {"studiolo.dev/instance": _INSTANCE, "studiolo.dev/workload": workload, "studiolo.dev/launch": "1"}
    mounts = [{"name": f"volume-{one}", "mountPath": f"/run/studiolo/{one}"} for one in range(4)]
    container = {
        "name": "jupyterlab",
        "image": "registry.example.org/studiolo-session:1",
        "command": ["/opt/studiolo/bin/python", "-P", "-m", "studiolo.runtime.workload", "/run/studiolo/request"],
        "ports": [{"containerPort": 8888}],
        "resources": {"limits": {"cpu": "2", "memory": "4096Mi"}, "requests": {"cpu": "2", "memory": "4096Mi"}},
        "volumeMounts": mounts,
    }
    fields = {f"f:field-{one}": {"f:value": {}} for one in range(60)}
    metadata = {"name": f"jupyter-ana-{workload}-1", "labels": labels, "managedFields": [{"fieldsV1": fields}]}
    return {"metadata": metadata, "spec": {"containers": [container]}}


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
