"""Running pods for real, as processes of this machine: volumes are folders, each pod has a loopback address."""

import asyncio
import contextlib
import itertools
import os
import signal
from pathlib import Path

from studiolo.testing.kubernetes.pods import Object, Pod
from studiolo.testing.kubernetes.server import FakeCluster
from studiolo.testing.kubernetes.volumes import make_folders


class Processes:
    """Runs the command of each pod of `cluster`; what it keeps lies in `folder`, a claim's files in `folder`/claims.

    A process sees this machine's files, not an image's: where the manifest, or a file of a Secret, names a path of a
    volume, it gets the folder's. Limits, accounts and networks are not enforced.
    """

    def __init__(self, cluster: FakeCluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._numbers = itertools.count(1)

    async def run(self, pod: Pod) -> None:
        """See Runner."""
        pod.place()
        container = pod.manifest["spec"]["containers"][0]
        # Tests that run side by side must not meet on a port.
        ip = f"127.{16 + os.getpid() % 200}.{next(self._numbers)}.1"
        moves = {"0.0.0.0": ip, **self._mount(pod, container)}  # noqa: S104
        self._translate_secrets(pod, moves)
        process = await asyncio.create_subprocess_exec(
            *(_move(argument, moves) for argument in container["command"]),
            cwd=_move(container["workingDir"], moves),
            env={variable["name"]: variable["value"] for variable in container.get("env", [])},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        pod.run(ip, started=False)
        probe = asyncio.create_task(_probe(pod, ip, container["startupProbe"]))
        stop = asyncio.create_task(_stop_when_asked(pod, process))
        try:
            await self._print(pod, process)
            pod.end(_status(await process.wait()))
        finally:
            probe.cancel()
            stop.cancel()
            await asyncio.gather(probe, stop, return_exceptions=True)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _mount(self, pod: Pod, container: Object) -> dict[str, str]:
        """Make the folders of a pod's volumes; returns where each mounted path is on this machine."""
        folders = make_folders(self._cluster, pod, self._folder)
        return {mount["mountPath"]: str(folders[mount["name"]]) for mount in container["volumeMounts"]}

    def _translate_secrets(self, pod: Pod, moves: dict[str, str]) -> None:
        for volume in pod.manifest["spec"]["volumes"]:
            if "secret" in volume:
                for file in (self._folder / pod.name / volume["name"]).iterdir():
                    file.write_text(_move(file.read_text(), moves))

    async def _print(self, pod: Pod, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        lines = self._cluster.logs.setdefault(pod.name, [])
        async for line in process.stdout:
            lines.append(line.decode(errors="replace").rstrip("\n"))


async def _probe(pod: Pod, ip: str, how: Object) -> None:
    """Say that the pod has started once its port is open, as a startup probe does."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(ip, how["tcpSocket"]["port"])
            writer.close()
            pod.run(ip)
            return
        await asyncio.sleep(how["periodSeconds"])


async def _stop_when_asked(pod: Pod, process: asyncio.subprocess.Process) -> None:
    await pod.is_stopping.wait()
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        await asyncio.sleep(pod.grace_seconds)
        process.kill()


def _move(text: str, moves: dict[str, str]) -> str:
    for path in sorted(moves, key=len, reverse=True):
        text = text.replace(path, moves[path])
    return text


def _status(code: int) -> int:
    return 128 - code if code < 0 else code
