"""How quickly does output come, and does all of it come?

Each round starts kernels anew. 20,000 prints, each flushed, and 50 outputs of 1 MiB, from the request until its idle
has come and all was read as JSON: over ZMQ alone (jupyter_client on ipc, its sockets read directly), and by a stock
client of the websocket protocol v1 at our kernel host's own port with its journal on; in every fourth round also
through our front door, at jupyter_server with its limit off and at jupyverse. What did not come is counted.
"""

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from _kernel_client import Executor, Loop
from _kernel_door import front_door
from _kernel_gateway import gateway
from _kernel_peers import jupyter_server, jupyverse
from _kernel_zmq import kernel_on_zmq
from _measure import alternate_parts
from _peers import jupyter_programs
from _report import Report, options

_PRINTS = 20_000
_FIGURES = 50
_FIGURE_BYTES = 1 << 20
_PRINT = f"for number in range({_PRINTS}): print(number, flush=True)"
_SHOW = f"""
from IPython.display import display
for _ in range({_FIGURES}):
    display({{"text/plain": "x" * {_FIGURE_BYTES}}}, raw=True)
"""
_UNITS = {"prints": "messages/s", "figures": "MB/s"}
_GOALS = {"prints": 0.8, "figures": 0.85}
_ZMQ = "ZMQ alone"
_OURS = "Studiolo"


@dataclass
class Floods:
    """One contender: what starts a kernel of it; how many outputs did not come so far, and how many came twice."""

    start: Callable[[], AbstractContextManager[Executor]]
    lost: int = 0
    doubled: int = 0

    def measure(self) -> Mapping[str, float]:
        """Run both floods in a fresh kernel; what did not come, or came again, does not count."""
        with self.start() as kernel:
            kernel.execute("pass")
            printed = kernel.execute(_PRINT)
            shown = kernel.execute(_SHOW)
        came = printed.text.split()
        figures = shown.figures.count(_FIGURE_BYTES)
        self.lost += _PRINTS - len(set(came)) + max(0, _FIGURES - figures)
        self.doubled += len(came) - len(set(came)) + max(0, figures - _FIGURES)
        return {"prints": len(set(came)) / printed.seconds, "figures": figures * _FIGURE_BYTES / 1e6 / shown.seconds}


def main() -> None:
    """Measure and report."""
    report = Report("kernels_output", options(__doc__))
    with contextlib.ExitStack() as stack:
        floods, seldom = contenders(stack)
        measured = {name: one.measure for name, one in floods.items()}
        found = alternate_parts(report.options.runs, _UNITS, measured, seldom=seldom)
    report.series += [series for parts in found.values() for series in parts.values()]
    for part, goal in _GOALS.items():
        report.at_least(f"Studiolo / ZMQ, {part}", found[_OURS][part].median / found[_ZMQ][part].median, goal)
    ours = floods[_OURS]
    report.at_most("outputs that Studiolo lost or doubled", ours.lost + ours.doubled, 0, "of them")
    spoilt = ", ".join(f"{name} {one.lost} and {one.doubled}" for name, one in floods.items())
    report.notes.append(f"Lost and doubled in all runs: {spoilt}.")
    report.finish()


def contenders(stack: contextlib.ExitStack) -> tuple[dict[str, Floods], list[str]]:
    """Start all servers; return the contenders, and the names of those that run seldom."""
    loop = Loop()
    ours = stack.enter_context(gateway())
    found = {
        _ZMQ: Floods(partial(kernel_on_zmq, "ipc", jupyter_programs() / "python")),
        _OURS: Floods(partial(loop.kernel_of, ours)),
    }
    door, _ = stack.enter_context(front_door())
    services = [door, *(stack.enter_context(peer()) for peer in (jupyter_server, jupyverse))]
    others = {one.name: Floods(partial(loop.kernel_of, one)) for one in services}
    return found | others, list(others)


if __name__ == "__main__":
    main()
