"""How long does `pass` take in a notebook, from the request until its reply and the kernel's idle have come?

One kernel and one client per contender, one request after the other on warm connections: ZMQ alone (jupyter_client on
ipc and on tcp, its sockets read directly), and a stock client of the websocket protocol v1 at our kernel host's own
port, through our front door, at jupyter_server and at jupyverse. jupyter_server leaves Nagle's algorithm on, which
costs it 40 ms for each request: it does fewer of them, in every fourth round.
"""

import contextlib
import statistics
from collections.abc import Mapping
from functools import partial

from _kernel_client import Executor, Loop
from _kernel_door import front_door
from _kernel_gateway import gateway
from _kernel_peers import jupyter_server, jupyverse
from _kernel_zmq import kernel_on_zmq
from _measure import Series, alternate_parts
from _peers import jupyter_programs
from _report import Options, Report, options

_REQUESTS = 200
_UNITS = {"p50": "ms", "p99": "ms"}
_ZMQ = "ZMQ alone, ipc"
_OURS = "Studiolo"


def main() -> None:
    """Measure and report."""
    report = Report("kernels_latency", options(__doc__))
    found = measure(report.options)
    report.series += [series for parts in found.values() for series in parts.values()]
    for part, goal in (("p50", 0.7), ("p99", 3.0)):
        ours, limit = found[_OURS][part].median, found[_ZMQ][part].median
        report.at_most(f"Studiolo above {_ZMQ}, {part}", ours - limit, goal, "ms")
    report.finish()


def measure(options: Options) -> Mapping[str, Mapping[str, Series]]:
    """Run all contenders in turn."""
    loop = Loop()
    with contextlib.ExitStack() as stack:
        contenders: dict[str, Executor] = {}
        for transport in ("ipc", "tcp"):
            contenders[f"ZMQ alone, {transport}"] = stack.enter_context(
                kernel_on_zmq(transport, jupyter_programs() / "python")
            )
        ours = stack.enter_context(gateway())
        contenders[_OURS] = stack.enter_context(loop.kernel_of(ours))
        door, _ = stack.enter_context(front_door())
        contenders[door.name] = stack.enter_context(loop.kernel_of(door))
        for peer in (jupyverse, jupyter_server):
            service = stack.enter_context(peer())
            contenders[service.name] = stack.enter_context(loop.kernel_of(service))
        slow = service.name
        measured = {
            name: partial(latencies, one, _REQUESTS // 4 if name == slow else _REQUESTS)
            for name, one in contenders.items()
        }
        return alternate_parts(options.runs, _UNITS, measured, seldom={slow})


def latencies(kernel: Executor, requests: int) -> Mapping[str, float]:
    """Run `pass` many times; return the middle and the slow end in milliseconds."""
    kernel.execute("pass")
    found = sorted(kernel.execute("pass").seconds * 1000 for _ in range(requests))
    return {"p50": statistics.median(found), "p99": found[int(0.99 * requests)]}


if __name__ == "__main__":
    main()
