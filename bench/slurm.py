"""What does a session cost on top of the scheduler's own start of a job?

Studiolo: the engine's start, its watch until the session is ready, then GET of JupyterLab's page at its upstream.
Plain: sbatch of a script in which the same Python runs `jupyter lab` with the same limits; GET of the page, tried every
10 ms.

Needs a Slurm: eval "$(scripts/engines/slurm.sh env)".
"""

import asyncio
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from _measure import alternate
from _report import Report, options

from studiolo.contract.ids import IdKind, new_id
from studiolo.engines.base import Limits, Phase, WorkloadSpec
from studiolo.engines.plugins import EngineGround
from studiolo.engines.slurm.engine import BatchEngine
from studiolo.engines.slurm.plugin import PLUGIN
from studiolo.engines.slurm.settings import BatchSettings
from studiolo.testing.local import SessionClient, build_environment
from studiolo.testing.ports import free_port

_POLL_SECONDS = 0.01
_PATIENCE_SECONDS = 180.0
_MEMORY = 1 << 30


@dataclass
class Bench:
    """An engine and what it needs."""

    engine: BatchEngine
    folder: Path
    environment: Path

    async def ours(self) -> float:
        """Launch by the engine; returns the seconds until the page was there."""
        workload_id = new_id(IdKind.SESSION)
        spec = WorkloadSpec(
            workload_id=workload_id,
            launch=1,
            folder=self.folder / "workspace",
            environment=self.environment,
            base_url=f"/s/{workload_id}/",
            secret=secrets.token_hex(16),
            limits=Limits(cpu=1, memory=_MEMORY),
        )
        began = time.perf_counter()
        handle = await self.engine.start(spec)
        seen = await self.engine.observe(handle)
        async for _ in self.engine.watch(handle):
            seen = await self.engine.observe(handle)
            if seen.phase in {Phase.READY, Phase.ENDED}:
                break
        assert seen.upstream, seen
        client = SessionClient.at(seen.upstream, spec.base_url, spec.secret)
        await _get(f"http://{seen.upstream}{spec.base_url}lab", client.headers())
        seconds = time.perf_counter() - began
        await self.end(str(handle["job"]))
        return seconds

    async def plain(self) -> float:
        """Submit a job of the same kind that runs `jupyter lab`."""
        port = free_port()
        server = [sys.executable, "-P", "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
        server += [
            f"--ServerApp.port={port}",
            "--IdentityProvider.token=",
            f"--notebook-dir={self.folder / 'workspace'}",
        ]
        script = f"#!/bin/sh\nexport HOME={shlex.quote(str(self.folder))}\nexec {shlex.join(server)}\n"
        words = ["sbatch", "--parsable", "--ntasks=1", "--cpus-per-task=1", f"--mem={_MEMORY >> 10}K", "--time=10"]
        began = time.perf_counter()
        done = subprocess.run(
            [*words, f"--output={self.folder}/plain.log"], input=script, capture_output=True, text=True, check=True
        )
        await _get(f"http://127.0.0.1:{port}/lab", {})
        seconds = time.perf_counter() - began
        await self.end(done.stdout.strip())
        return seconds

    async def end(self, job: str) -> None:
        """End a job and wait until its place is free: the next one starts on the same ground."""
        subprocess.run(["scancel", job], check=False)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, check=False).stdout:
                await asyncio.sleep(0.1)


async def _get(url: str, headers: dict[str, str]) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS), httpx.AsyncClient(headers=headers, trust_env=False) as http:
        while True:
            with suppress(httpx.TransportError):
                if (await http.get(url)).status_code == 200:
                    return
            await asyncio.sleep(_POLL_SECONDS)


def main() -> None:
    """Measure and report."""
    report = Report("slurm", options(__doc__, runs=10))
    folder = Path(tempfile.mkdtemp(prefix="studiolo-bench-"))
    (folder / "workspace" / "notebooks").mkdir(parents=True)
    ground = EngineGround(folder, folder / "s", secrets.token_hex(4), "")
    settings = BatchSettings.model_validate({"listen": "127.0.0.1", "node_address": "127.0.0.1", "time_limit": "10m"})
    with asyncio.Runner() as runner:

        async def begin() -> Bench:
            engine = PLUGIN.build(ground, settings)
            assert isinstance(engine, BatchEngine)
            return Bench(engine, folder, build_environment(folder / "environment"))

        bench = runner.run(begin())
        contenders = {
            "Studiolo": lambda: runner.run(bench.ours()),
            "sbatch of jupyter lab": lambda: runner.run(bench.plain()),
        }
        report.series += alternate(report.options.runs, "s", contenders)
        runner.run(bench.engine.aclose())
    shutil.rmtree(folder)
    ours, plain = report.series
    report.at_most("on top of the scheduler's start, median", ours.median - plain.median, 1.0, "s")
    report.finish()


if __name__ == "__main__":
    main()
