"""Are requests to the control plane as quick while a kernel floods as when it is quiet?

One read of a workspace after the other through the front door, 100 a run, of which the middle counts, from a process of
its own, since somebody else's kernel floods: a client that shares its interpreter waits for that. While nothing
runs; while a kernel of the platform prints without end to a client behind the same front door; and, for comparison,
while a kernel floods a client over ZMQ alone beside an idle platform, which takes as many processors and none of ours.
"""

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

from _http import Client
from _kernel_client import Executor, Loop
from _kernel_door import front_door
from _kernel_zmq import kernel_on_zmq
from _measure import alternate
from _peers import jupyter_programs
from _report import Report, options

_REQUESTS = 100
_PRINT = "for number in range(2000): print(number, flush=True)"
# Noise of two equal medians on a shared machine.
_MOST = 1.25


def main() -> None:
    """Measure and report."""
    report = Report("kernels_calm", options(__doc__))
    with contextlib.ExitStack() as stack:
        service, platform = stack.enter_context(front_door())
        kernel = stack.enter_context(Loop().kernel_of(service))
        beside = stack.enter_context(kernel_on_zmq("ipc", jupyter_programs() / "python"))
        path = f"/api/v1/jupyter/workspaces/{service.prefix.rpartition('/')[2]}"
        other = stack.enter_context(ProcessPoolExecutor(1, get_context("spawn")))

        def read() -> float:
            return other.submit(_middle, platform.client, path).result()

        contenders = {
            "nothing runs": read,
            "a kernel floods": partial(_flooded, kernel, read),
            "a kernel floods over ZMQ alone": partial(_flooded, beside, read),
        }
        quiet, flooded, elsewhere = series = alternate(report.options.runs, "ms", contenders)
    report.series += series
    report.at_most("flooded / quiet", flooded.median / quiet.median, _MOST, "times")
    report.at_most("flooded / flooded over ZMQ alone", flooded.median / elsewhere.median, _MOST, "times")
    report.finish()


def _middle(client: Client, path: str) -> float:
    """Ask many times; return the middle in milliseconds."""
    found = []
    for _ in range(_REQUESTS):
        began = time.perf_counter()
        client.ask("GET", path).json  # noqa: B018 ends the benchmark unless it is answered
        found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found)


def _flooded(kernel: Executor, measure: Callable[[], float]) -> float:
    with _flood(kernel):
        return measure()


@contextlib.contextmanager
def _flood(kernel: Executor) -> Iterator[None]:
    """Have a kernel print, and its client read, for the length of a block."""
    is_over = threading.Event()

    def flood() -> None:
        while not is_over.is_set():
            kernel.execute(_PRINT)

    with ThreadPoolExecutor(1) as thread:
        flooding = thread.submit(flood)
        try:
            yield
        finally:
            is_over.set()
            flooding.result()


if __name__ == "__main__":
    main()
