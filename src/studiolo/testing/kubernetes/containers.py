"""Running pods for real, as containers of Podman: `podman kube play` of the manifest, its volumes being folders."""

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

from studiolo.testing.kubernetes.pods import Object, Pod
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.kubernetes.volumes import make_folders

_LOOK_SECONDS = 0.2
# What a node of one machine has no use for, or Podman does itself.
_LEFT_OUT = {"affinity", "imagePullSecrets", "serviceAccountName", "nodeSelector", "tolerations", "priorityClassName"}


class Containers:
    """Runs the pods of `cluster` by the Podman whose configuration is in the environment; `folder`: what volumes hold.

    Accounts, rights, memory and processor limits are enforced; affinity, claims' access modes and policies are not.
    """

    def __init__(self, cluster: FakeCluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder

    async def run(self, pod: Pod) -> None:
        """See Runner."""
        pod.place()
        container = pod.manifest["spec"]["containers"][0]
        name = f"{pod.name}-{container['name']}"
        file = self._write(pod, container)
        following: asyncio.Task[None] | None = None
        stopping = asyncio.create_task(_stop_when_asked(pod, name))
        try:
            await podman("kube", "play", "--quiet", str(file))
            following = asyncio.create_task(self._follow_log(pod, name))
            await self._look_after(pod, name, container["startupProbe"]["tcpSocket"]["port"])
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            with contextlib.suppress(ChildProcessError):
                await podman("pod", "rm", "--force", "--time", "1", pod.name)
            if following:
                await following

    def _write(self, pod: Pod, container: Object) -> Path:
        """Write what is played: the pod as it is, but for its volumes' kinds and what Podman does not know."""
        spec = pod.manifest["spec"]
        folders = make_folders(self._cluster, pod, self._folder)
        for path in (*folders.values(), *(file for folder in folders.values() for file in folder.iterdir())):
            os.chown(path, spec["securityContext"]["runAsUser"], spec["securityContext"]["fsGroup"])
        volumes = [
            {"name": name, "hostPath": {"path": str(path), "type": "Directory"}} for name, path in folders.items()
        ]
        kept = {key: value for key, value in spec.items() if key not in _LEFT_OUT}
        playable = {key: value for key, value in container.items() if key != "startupProbe"}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod.name},
            "spec": {**kept, "volumes": volumes, "containers": [{**playable, "imagePullPolicy": "Never"}]},
        }
        file = self._folder / f"{pod.name}.json"
        file.write_text(json.dumps(manifest))
        return file

    async def _look_after(self, pod: Pod, name: str, port: int) -> None:
        """Say what becomes of the container until it has ended."""
        ip, is_started = "", False
        # Holds the pod's network.
        first = (await podman("pod", "inspect", "--format", "{{.InfraContainerID}}", pod.name)).strip()
        while True:
            state = (await _inspect(name))["State"]
            if state["Status"] in ("exited", "stopped"):
                pod.end(state["ExitCode"])
                return
            if not ip and (ip := _address(await _inspect(first))):
                pod.run(ip, started=False)
            if ip and not is_started and (is_started := await _listens(ip, port)):
                pod.run(ip)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _follow_log(self, pod: Pod, name: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "podman", "logs", "--follow", name, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        assert process.stdout is not None
        lines = self._cluster.logs.setdefault(pod.name, [])
        async for line in process.stdout:
            lines.append(line.decode(errors="replace").rstrip("\n"))
        await process.wait()


async def podman(*arguments: str) -> str:
    """Run a command of Podman; returns what it prints. Raises ChildProcessError with its complaint."""
    process = await asyncio.create_subprocess_exec(
        "podman", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise ChildProcessError(f"podman {arguments[0]}: {errors.decode(errors='replace').strip()}")
    return output.decode()


async def _inspect(name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(await podman("container", "inspect", name))
    return found[0]


def _address(infra: dict[str, Any]) -> str:
    networks = infra["NetworkSettings"].get("Networks") or {}
    return next((network["IPAddress"] for network in networks.values() if network["IPAddress"]), "")


async def _listens(ip: str, port: int) -> bool:
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(ip, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _stop_when_asked(pod: Pod, name: str) -> None:
    await pod.is_stopping.wait()
    with contextlib.suppress(ChildProcessError):
        await podman("stop", "--time", str(pod.grace_seconds), name)
