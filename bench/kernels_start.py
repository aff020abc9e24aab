"""How long from asking for a kernel until its first result?

`POST /api/kernels` (jupyverse: of a session), opening its websocket and running `40 + 2` until reply and idle have
come. Ours from the pool, which is full before each start, and forked, by a host that keeps no spares; the peers exec
each kernel. Also ten at once, until the last result has come; our host keeps the spares that it has by default.
"""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from _kernel_client import Answer, Loop, connected
from _kernel_gateway import gateway
from _kernel_peers import jupyter_server, jupyverse, kernel_gateway
from _kernel_service import KernelService
from _measure import alternate
from _report import Report, options

_AT_ONCE = 10
_CODE = "40 + 2"
_POOL, _FORKED = "Studiolo, from the pool", "Studiolo, forked"


def main() -> None:
    """Measure and report."""
    report = Report("kernels_start", options(__doc__))
    loop = Loop()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(_AT_ONCE) as threads:
        pool, bare = stack.enter_context(gateway()), stack.enter_context(gateway(spares=0))
        peers = [stack.enter_context(peer()) for peer in (jupyter_server, kernel_gateway, jupyverse)]
        services = {_POOL: pool, _FORKED: bare, **{peer.name: peer for peer in peers}}
        measured = {name: partial(start, one, loop, threads, 1) for name, one in services.items()}
        # The first kernel of an environment also starts what later ones are forked from.
        for one in measured.values():
            one()
        pooled, forked, theirs, *_ = single = alternate(report.options.runs, "s", measured)
        at_once = {f"{one.name}, {_AT_ONCE} at once": partial(start, one, loop, threads) for one in (pool, peers[0])}
        ten, their_ten = burst = alternate(report.options.runs, "s", at_once)
    report.series += [*single, *burst]
    report.at_most("Studiolo from the pool, median", pooled.median * 1000, 30, "ms")
    report.at_most("Studiolo forked, median", forked.median * 1000, 100, "ms")
    report.at_least("jupyter_server / Studiolo from the pool", theirs.median / pooled.median, 15)
    report.at_least("jupyter_server / Studiolo forked", theirs.median / forked.median, 4)
    report.at_least(f"jupyter_server / Studiolo, {_AT_ONCE} at once", their_ten.median / ten.median, 4)
    report.finish()


def start(service: KernelService, loop: Loop, threads: ThreadPoolExecutor, number: int = _AT_ONCE) -> float:
    """Start kernels in one moment; return the seconds until the last one's first result."""
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
