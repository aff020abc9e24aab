"""What does it take to know a thousand pods, and how soon is a change of one known?

A fake API server in a process of its own holds 1,000 pods that run. Memory: what this process holds more once all are
known than with a cluster of one pod; the client library's modules stand in a line of their own. A change: a pod is
ended at the server, and the time until the engine says so is taken, with what the server and the connection take of it.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from _measure import Series
from _processes import pss_bytes
from _report import Report, options

from studiolo.engines.base import Handle, Phase
from studiolo.engines.kubernetes.engine import KubernetesEngine
from studiolo.engines.kubernetes.settings import KubernetesSettings
from studiolo.engines.plugins import EngineGround

_PODS = 1000
_MIB = 1 << 20


async def measure(report: Report) -> None:
    """Measure and report."""
    before = pss_bytes([os.getpid()])
    async with _cluster(1) as (engine, _):
        await _know(engine, 1)
    small = pss_bytes([os.getpid()])
    async with _cluster(_PODS) as (engine, server):
        began = time.monotonic()
        await _know(engine, _PODS)
        took = time.monotonic() - began
        large = pss_bytes([os.getpid()])
        changes = [await _change(engine, server, number) for number in range(report.options.runs)]
    report.series.append(Series("a change is known", "ms", changes))
    report.at_most(f"memory for {_PODS} pods", (large - small) / _MIB, 50, "MiB")
    report.at_most("a change is known, median", report.series[0].median, 50, "ms")
    report.notes.append(f"The client library and the first connection: {(small - before) / _MIB:.0f} MiB.")
    report.notes.append(f"All {_PODS} pods were known after {took:.2f} s.")


@asynccontextmanager
async def _cluster(count: int) -> AsyncIterator[tuple[KubernetesEngine, subprocess.Popen[str]]]:
    program = str(Path(__file__).with_name("_cluster.py"))
    with tempfile.TemporaryDirectory() as folder:
        arguments = [sys.executable, program, folder, str(count)]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            here = {"image": "lab", "kubeconfig": server.stdout.readline().strip()}
            settings = KubernetesSettings.model_validate(here | {"network": {"pod_cidrs": ["127.0.0.0/8"]}})
            ground = EngineGround(Path(folder), Path(folder), "bench", "http://localhost")
            engine = KubernetesEngine(ground, settings)
            yield engine, server
            await engine.aclose()
            server.terminate()


async def _know(engine: KubernetesEngine, count: int) -> None:
    for number in range(count):
        seen = await engine.observe(_handle(number))
        assert seen.phase is Phase.READY, seen


async def _change(engine: KubernetesEngine, server: subprocess.Popen[str], number: int) -> float:
    """End a pod at the server; return the milliseconds until the engine says so."""
    handle = _handle(number)
    async with aclosing(engine.watch(handle)) as news:
        await anext(news)
        assert server.stdin is not None
        began = time.perf_counter()
        server.stdin.write(f"{handle['pod']}\n")
        server.stdin.flush()
        async for _ in news:
            if (await engine.observe(handle)).phase is Phase.ENDED:
                break
    return (time.perf_counter() - began) * 1000


def _handle(number: int) -> Handle:
    workload = f"s-{number:016d}"
    return {"workload_id": workload, "launch": 1, "pod": f"jupyter-ana-{workload}-1"}


def main() -> None:
    """Measure and report."""
    report = Report("kubernetes", options(__doc__, runs=50))
    asyncio.run(measure(report))
    report.finish()


if __name__ == "__main__":
    main()
