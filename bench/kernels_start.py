"""How long from asking for a kernel until its first result?

`POST /api/kernels` (jupyverse: of a session), opening its websocket and running `40 + 2` until reply and idle have
come. Ours from the pool, which is full before each start, and forked, by a host that keeps no spares; the peers exec
each kernel. Also ten at once, until the last result has come; our host keeps the spares that it has by default.

A peer chooses a kernel's TCP ports before the kernel binds them. Where something else got one of them meanwhile, the
kernel dies, and jupyter_server answers its websocket's upgrade a minute later, with an error. Such a start is counted
and measured again. With our host, whose kernels listen on no ports, it ends the benchmark.
"""

import contextlib
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from _kernel_client import Answer, Loop, connected
from _kernel_gateway import Gateway, gateway
from _kernel_peers import jupyter_server, jupyverse, kernel_gateway
from _kernel_service import KernelService
from _measure import alternate
from _report import Report, options
from websockets.exceptions import InvalidHandshake

_MOST_UNOPENED = 5
_AT_ONCE = 10
_CODE = "40 + 2"
_POOL, _FORKED = "Studiolo, from the pool", "Studiolo, forked"


def main() -> None:
    """Measure and report."""
    report = Report("kernels_start", options(__doc__))
    loop, unopened = Loop(), Counter[str]()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(_AT_ONCE) as threads:
        pool, bare = stack.enter_context(gateway()), stack.enter_context(gateway(spares=0))
        peers = [stack.enter_context(peer()) for peer in (jupyter_server, kernel_gateway, jupyverse)]
        services = {_POOL: pool, _FORKED: bare, **{peer.name: peer for peer in peers}}
        measured = {name: partial(start, one, loop, threads, unopened, 1) for name, one in services.items()}
        # The first kernel of an environment also starts what later ones are forked from.
        for one in measured.values():
            one()
        pooled, forked, theirs, *_ = single = alternate(report.options.runs, "s", measured)
        both = (pool, peers[0])
        at_once = {f"{one.name}, {_AT_ONCE} at once": partial(start, one, loop, threads, unopened) for one in both}
        ten, their_ten = burst = alternate(report.options.runs, "s", at_once)
    report.series += [*single, *burst]
    report.at_most("Studiolo from the pool, median", pooled.median * 1000, 30, "ms")
    report.at_most("Studiolo forked, median", forked.median * 1000, 100, "ms")
    report.at_least("jupyter_server / Studiolo from the pool", theirs.median / pooled.median, 15)
    report.at_least("jupyter_server / Studiolo forked", theirs.median / forked.median, 4)
    report.at_least(f"jupyter_server / Studiolo, {_AT_ONCE} at once", their_ten.median / ten.median, 4)
    report.notes += [
        f"{name}: {times} starts measured again, a websocket did not open" for name, times in unopened.items()
    ]
    report.finish()


def start(
    service: KernelService, loop: Loop, threads: ThreadPoolExecutor, unopened: Counter[str], number: int = _AT_ONCE
) -> float:
    """Start kernels in one moment; return the seconds until the last one's first result.

    `unopened`: counts for each peer how often that had to be done again.
    """
    while True:
        service.settle()
        began = time.perf_counter()
        started = dict(threads.map(lambda _: _first_result(service, loop), range(number)))
        seconds = time.perf_counter() - began
        list(threads.map(partial(_end, service), started.items()))
        if all(started.values()):
            return seconds
        unopened[service.name] += 1
        if unopened[service.name] > _MOST_UNOPENED:
            raise SystemExit(f"error: websockets of {service.name} did not open {_MOST_UNOPENED} times.")


def _first_result(service: KernelService, loop: Loop) -> tuple[str, bool]:
    """Start a kernel and return it, and whether it answered: a peer's may not."""
    kernel = service.start()
    try:
        answer = loop.run(_run(service, kernel))
    except (TimeoutError, InvalidHandshake) as exc:
        if isinstance(service, Gateway):
            raise SystemExit(f"error: the websocket of {service.name} did not open: {exc}") from exc
        return kernel, False
    if answer.outputs[0]["data"]["text/plain"] != "42":
        raise SystemExit(f"error: {service.name} answered {answer.outputs!r}.")
    return kernel, True


def _end(service: KernelService, started: tuple[str, bool]) -> None:
    """End a kernel; one that has not answered may be gone."""
    kernel, has_answered = started
    with contextlib.suppress(*(() if has_answered else (SystemExit, ValueError))):
        service.stop(kernel)


async def _run(service: KernelService, kernel: str) -> Answer:
    async with connected(service, kernel) as client:
        return await client.execute(_CODE)


if __name__ == "__main__":
    main()
