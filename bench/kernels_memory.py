"""How much memory does an idle kernel hold, and what does an idle client cost the server?

Kernels: proportional set size (a page that n processes share counts 1/n for each) of one kernel after `40 + 2`, with
one running and, on the average, with ten: ours forked, its shim included, and one that jupyter_server spawned.
Clients: idle websockets on four kernels of a fresh server, what each adds to the memory and the descriptors of the
process that serves them: 1,000 of them, for jupyter_server 200, which needs nine descriptors for each.
"""

import contextlib
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from itertools import cycle, islice

import psutil
from _kernel_client import Loop, connected
from _kernel_gateway import gateway
from _kernel_peers import jupyter_server, jupyverse
from _kernel_service import KernelService
from _measure import Series, alternate, alternate_parts
from _peers import version_of
from _processes import descendants, pss_bytes
from _report import Report, options

_NUMBERS = (1, 10)
_SETTLE_SECONDS = 1.0
_KERNELS = 4
_CLIENTS = 1000
_FEW_CLIENTS = 200
_KIB, _MIB = 1 << 10, 1 << 20
_CLIENT_UNITS = {"memory": "KiB", "descriptors": "each"}


def main() -> None:
    """Measure and report."""
    report = Report("kernels_memory", options(__doc__))
    # Both ends of all connections: here, and in the servers, which inherit the limit.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop = Loop()
    for number in _NUMBERS:
        mine, spawned = of_kernels(loop, number, report.options.runs if number == 1 else report.options.runs // 4 or 1)
        report.series += [mine, spawned]
        report.at_most(f"forked / spawned, {number} running", mine.median / spawned.median, 0.6, "times")
    clients = of_clients(loop, report.options.runs)
    report.series += [series for parts in clients.values() for series in parts.values()]
    ours = clients["a client of Studiolo"]
    report.at_most("memory for each idle client", ours["memory"].median, 15, "KiB")
    report.at_most("descriptors for each idle client", ours["descriptors"].median, 1, "")
    report.finish()


def of_kernels(loop: Loop, number: int, runs: int) -> list[Series]:
    """Measure idle kernels of ours and spawned ones in turn, in MiB."""
    with gateway() as ours, jupyter_server() as theirs:

        def of_ours(kernel: str) -> int:
            return ours.pss_of(kernel)

        def of_all_of_theirs(_: str) -> int:
            kernels = [one.pid for one in descendants(theirs.pid) if "ipykernel_launcher" in " ".join(one.cmdline())]
            return pss_bytes(kernels) // len(kernels)

        contenders = {
            f"Studiolo's kernel, {number} running": partial(_idle_kernels, ours, loop, number, of_ours),
            f"{theirs.name}'s kernel, {number} running": partial(_idle_kernels, theirs, loop, number, of_all_of_theirs),
        }
        return alternate(runs, "MiB", contenders)


def of_clients(loop: Loop, runs: int) -> Mapping[str, Mapping[str, Series]]:
    """Measure idle clients of fresh servers in turn."""
    contenders = {
        "a client of Studiolo": partial(_idle_clients, gateway, loop, _CLIENTS),
        f"a client of jupyverse {version_of('jupyverse')}": partial(_idle_clients, jupyverse, loop, _CLIENTS),
        f"a client of jupyter_server {version_of('jupyter_server')}": partial(
            _idle_clients, jupyter_server, loop, _FEW_CLIENTS
        ),
    }
    _, *peers = contenders
    return alternate_parts(runs, _CLIENT_UNITS, contenders, seldom=peers)


def _idle_kernels(service: KernelService, loop: Loop, number: int, measure: Callable[[str], int]) -> float:
    with _kernels(service, loop, number) as kernels:
        time.sleep(_SETTLE_SECONDS)
        return sum(measure(kernel) for kernel in kernels) / number / _MIB


def _idle_clients(
    serve: Callable[[], AbstractContextManager[KernelService]], loop: Loop, number: int
) -> Mapping[str, float]:
    with serve() as service, _kernels(service, loop, _KERNELS) as kernels:
        server = psutil.Process(service.pid)
        memory, descriptors = pss_bytes([server.pid]), server.num_fds()
        with loop.holding(connected(service, kernel) for kernel in islice(cycle(kernels), number)):
            time.sleep(_SETTLE_SECONDS)
            return {
                "memory": (pss_bytes([server.pid]) - memory) / number / _KIB,
                "descriptors": (server.num_fds() - descriptors) / number,
            }


@contextlib.contextmanager
def _kernels(service: KernelService, loop: Loop, number: int) -> Iterator[list[str]]:
    """Start kernels that have run something once, and stop them afterwards."""
    with ThreadPoolExecutor(number) as threads:
        kernels = list(threads.map(lambda _: service.start(), range(number)))
        for kernel in kernels:
            loop.run(_run_once(service, kernel))
        yield kernels
        list(threads.map(service.stop, kernels))


async def _run_once(service: KernelService, kernel: str) -> None:
    async with connected(service, kernel) as client:
        await client.execute("40 + 2")


if __name__ == "__main__":
    main()
