"""How long from the launch of a session in a container until JupyterLab's page answers 200?

Studiolo: the engine's start, its watch until the session is ready, then GET of the page at the upstream it names.
Warm: the same with `warm = 1`, begun once a container waits and the machine has had a second of rest.
Plain: create and start of a container of the same image with the same mounts and limits through the same daemon, in
which the same Python runs `jupyter lab` on a unix socket; GET of the page, tried every 10 ms.

Needs a Podman: eval "$(scripts/engines/podman.sh env)".
"""

import asyncio
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from _measure import alternate
from _report import Report, options
from aiodocker import Docker

from studiolo.contract.ids import IdKind, new_id
from studiolo.engines.base import Limits, Phase, WorkloadSpec
from studiolo.engines.container.engine import ContainerEngine
from studiolo.engines.container.settings import ContainerSettings
from studiolo.engines.plugins import EngineGround
from studiolo.testing.local import SessionClient, build_environment

_POLL_SECONDS = 0.01
_PATIENCE_SECONDS = 120.0
_REST_SECONDS = 1.0
_LIMITS = Limits(cpu=2, memory=2 << 30, processes=500)


@dataclass
class Bench:
    """Two engines, without and with a container that waits; `spec` makes a session that was not there before."""

    engine: ContainerEngine
    warm: ContainerEngine
    folder: Path
    environment: Path
    docker: Docker

    def spec(self) -> WorkloadSpec:
        workload_id = new_id(IdKind.SESSION)
        return WorkloadSpec(
            workload_id=workload_id,
            launch=1,
            folder=self.folder / "workspace",
            environment=self.environment,
            base_url=f"/s/{workload_id}/",
            secret=secrets.token_hex(16),
            limits=_LIMITS,
        )

    async def claimed(self) -> float:
        """Launch by the engine that has a container wait."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not any((self.folder / "w" / "waiting").glob("*/gate/s.sock")):
                await asyncio.sleep(_POLL_SECONDS)
        await asyncio.sleep(_REST_SECONDS)
        return await self.ours(self.warm)

    async def ours(self, engine: ContainerEngine) -> float:
        """Launch by an engine; returns the seconds until the page was there."""
        spec = self.spec()
        began = time.perf_counter()
        handle = await engine.start(spec)
        async for _ in engine.watch(handle):
            seen = await engine.observe(handle)
            if seen.phase is not Phase.STARTING:
                break
        assert seen.upstream, seen
        client = SessionClient(Path(seen.upstream.removeprefix("unix/")), spec.base_url, spec.secret)
        await _get(client.socket, f"{spec.base_url}lab", client.headers())
        seconds = time.perf_counter() - began
        await engine.forget(spec.workload_id)
        return seconds

    async def plain(self, like: dict[str, Any]) -> float:
        """Create and start a container of the same kind that runs `jupyter lab`."""
        sockets = Path(tempfile.mkdtemp(dir=self.folder))
        sockets.chmod(0o777)
        mount = {"Type": "bind", "Source": str(sockets), "Target": "/sockets", "ReadOnly": False}
        config = like | {
            "Labels": {},
            "Entrypoint": [f"{sys.prefix}/bin/python", "-m", "jupyterlab"],
            "Cmd": ["--no-browser", "--ServerApp.sock=/sockets/s", "--IdentityProvider.token="],
            "Env": ["HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1"],
            "HostConfig": like["HostConfig"] | {"Mounts": [*like["HostConfig"]["Mounts"], mount]},
        }
        began = time.perf_counter()
        container = await self.docker.containers.create(config)
        await container.start()
        await _get(sockets / "s", "/lab", {})
        seconds = time.perf_counter() - began
        await container.delete(force=True)
        return seconds

    async def example(self) -> dict[str, Any]:
        """Return what the engine asks the daemon to create, its folders kept for as long as we are."""
        spec = self.spec()
        await self.engine.start(spec)
        plan = self.folder / "engines/container" / spec.workload_id / "1/container.json"
        config: dict[str, Any] = json.loads(plan.read_bytes())["config"]
        return config


async def _get(socket: Path, path: str, headers: dict[str, str]) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            transport = httpx.AsyncHTTPTransport(uds=str(socket))
            with suppress(httpx.TransportError):
                async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http:
                    if (await http.get(path)).status_code == 200:
                        return
            await asyncio.sleep(_POLL_SECONDS)


def main() -> None:
    """Measure and report."""
    report = Report("container", options(__doc__))
    if "STUDIOLO_TEST_PODMAN" not in os.environ:
        print("container: left out, there is no Podman for it (scripts/engines/podman.sh)", file=sys.stderr)
        return
    url, image = os.environ["STUDIOLO_TEST_PODMAN"], os.environ["STUDIOLO_TEST_PODMAN_IMAGE"]
    folder = Path(tempfile.mkdtemp(prefix="studiolo-bench-"))
    (folder / "workspace" / "notebooks").mkdir(parents=True)
    with asyncio.Runner() as runner:

        async def begin() -> Bench:
            cold, warm = (
                ContainerEngine(EngineGround(folder, folder / name, f"bench-{name}", ""), settings)
                for name, settings in (
                    ("s", ContainerSettings(url=url, image=image)),
                    ("w", ContainerSettings(url=url, image=image, warm=1)),
                )
            )
            return Bench(cold, warm, folder, build_environment(folder / "environment"), Docker(url=url))

        bench = runner.run(begin())
        # What was launched once is what is kept warm.
        runner.run(bench.ours(bench.warm))
        like = runner.run(bench.example())
        contenders = {
            "Studiolo": lambda: runner.run(bench.ours(bench.engine)),
            "Studiolo, warm": lambda: runner.run(bench.claimed()),
            "create, start, wait": lambda: runner.run(bench.plain(like)),
        }
        report.series += alternate(report.options.runs, "s", contenders)
        ours, warm, plain = report.series

        async def finish() -> None:
            async def nothing() -> set[tuple[str, int]]:
                return set()

            for engine in (bench.engine, bench.warm):
                while await engine.sweep(nothing):
                    await asyncio.sleep(0.1)
                await engine.aclose()
            await bench.docker.close()

        runner.run(finish())
    shutil.rmtree(folder)
    report.at_most("Studiolo, median", ours.median, 2.5, "s")
    report.at_least("plain / Studiolo", plain.median / ours.median, 1.0)
    report.at_most("Studiolo, warm, median", warm.median, 0.5, "s")
    report.at_least("plain / Studiolo, warm", plain.median / warm.median, 3.0)
    report.finish()


if __name__ == "__main__":
    main()
