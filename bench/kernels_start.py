"""How long from asking for a kernel until its first result?

`POST /api/kernels` (jupyverse: of a session), opening its websocket and running `40 + 2` until reply and idle have
come. Ours from the pool, which is full before each start, and forked, by a host that keeps no spares; the peers exec
each kernel. Also ten at once, until the last result has come; our host keeps the spares that it has by default.
"""

import contextlib
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from _kernel_client import Answer, Loop, connected
from _kernel_gateway import gateway
from _kernel_peers import jupyter_server, jupyverse, kernel_gateway
from _kernel_service import KernelService
from _measure import Series, alternate_parts
from _report import Options, Report, options

_AT_ONCE = 10
_CODE = "40 + 2"
_UNITS = {"one": "s", "ten at once": "s"}
_POOL, _FORKED = "Studiolo, from the pool", "Studiolo, forked"


def main() -> None:
    """Measure and report."""
    report = Report("kernels_start", options(__doc__))
    found = measure(report.options)
    report.series += [series for parts in found.values() for series in parts.values()]
    (theirs,) = (parts for name, parts in found.items() if name.startswith("jupyter_server"))
    pool, forked = found[_POOL], found[_FORKED]
    report.at_most("Studiolo from the pool, median", pool["one"].median * 1000, 30, "ms")
    report.at_most("Studiolo forked, median", forked["one"].median * 1000, 100, "ms")
    report.at_least("jupyter_server / Studiolo from the pool", theirs["one"].median / pool["one"].median, 15)
    report.at_least("jupyter_server / Studiolo forked", theirs["one"].median / forked["one"].median, 4)
    ratio = theirs["ten at once"].median / pool["ten at once"].median
    report.at_least(f"jupyter_server / Studiolo, {_AT_ONCE} at once", ratio, 4)
    report.finish()


def measure(options: Options) -> Mapping[str, Mapping[str, Series]]:
    """Run all contenders in turn."""
    loop = Loop()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(_AT_ONCE) as threads:
        services = {
            _POOL: stack.enter_context(gateway()),
            _FORKED: stack.enter_context(gateway(spares=0)),
        }
        peers = [stack.enter_context(peer()) for peer in (jupyter_server, kernel_gateway, jupyverse)]
        services |= {peer.name: peer for peer in peers}
        measured = {name: partial(starts, one, loop, threads) for name, one in services.items()}
        # The first kernel of an environment also starts what later ones are forked from.
        for one in measured.values():
            one()
        return alternate_parts(options.runs, _UNITS, measured, seldom=[peer.name for peer in peers[1:]])


def starts(service: KernelService, loop: Loop, threads: ThreadPoolExecutor) -> Mapping[str, float]:
    """Start one kernel, then ten at once, each until its first result."""
    return {part: _timed(service, loop, threads, number) for part, number in (("one", 1), ("ten at once", _AT_ONCE))}


def _timed(service: KernelService, loop: Loop, threads: ThreadPoolExecutor, number: int) -> float:
    service.settle()
    began = time.perf_counter()
    kernels = list(threads.map(lambda _: _first_result(service, loop), range(number)))
    seconds = time.perf_counter() - began
    list(threads.map(service.stop, kernels))
    return seconds


def _first_result(service: KernelService, loop: Loop) -> str:
    kernel = service.start()
    answer = loop.run(_run(service, kernel))
    if answer.outputs[0]["data"]["text/plain"] != "42":
        raise SystemExit(f"error: {service.name} answered {answer.outputs!r}.")
    return kernel


async def _run(service: KernelService, kernel: str) -> Answer:
    async with connected(service, kernel) as client:
        return await client.execute(_CODE)


if __name__ == "__main__":
    main()
