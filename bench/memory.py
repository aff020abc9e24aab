"""How much memory does one idle session hold, with one running and with ten?

Proportional set size (a page that n processes share counts 1/n for each) of all processes of one session, its
shim included, and of JupyterHub's single-user server; each after its page was loaded once and two seconds have
passed. With ten running the value of a run is the mean of the ten, and a quarter of the runs is made.
What serves all sessions (fork server, control plane, front door; hub and proxy) stands in a line of its own.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from _hub import Hub, jupyterhub
from _measure import alternate
from _peers import version_of
from _platform import Platform, studiolo
from _processes import descendants, pss_bytes
from _report import Report, options

_NUMBERS = (1, 10)
_SETTLE_SECONDS = 2.0
_MIB = 1 << 20


def main() -> None:
    """Measure and report."""
    report = Report("memory", options(__doc__))
    with studiolo() as platform, jupyterhub() as hub:
        workspace = platform.make_workspace("memory")
        names = (f"server{number}" for number in itertools.count())
        for number in _NUMBERS:
            contenders: dict[str, Callable[[], float]] = {
                f"Studiolo, {number} running": partial(ours, platform, workspace, number),
                f"JupyterHub {version_of('jupyterhub')}, {number} running": partial(theirs, hub, names, number),
            }
            runs = report.options.runs if number == 1 else max(1, report.options.runs // 4)
            mine, peers = alternate(runs, "MiB", contenders)
            report.series += [mine, peers]
            report.at_most(f"Studiolo / JupyterHub, {number} running", mine.median / peers.median, 0.5, "times")
        report.notes.append(f"Idle and without sessions: {_idle(platform, hub)}.")
    report.finish()


def ours(platform: Platform, workspace: str, number: int) -> float:
    """Start sessions, let them settle, and return the MiB of one, on the average."""
    with ThreadPoolExecutor(number) as threads:
        sessions = list(threads.map(platform.launch, [workspace] * number))
        list(threads.map(platform.enter, sessions))
        time.sleep(_SETTLE_SECONDS)
        shims = [platform.shim_of(session) for session in sessions]
        pids = [pid for shim in shims for pid in (shim, *(one.pid for one in descendants(shim)))]
        held = pss_bytes(pids) / number / _MIB
        list(threads.map(platform.stop, sessions))
    return held


def theirs(hub: Hub, names: Iterator[str], number: int) -> float:
    """Start servers, let them settle, and return the MiB of one, on the average."""
    chosen = list(itertools.islice(names, number))
    with ThreadPoolExecutor(number) as threads:
        list(threads.map(hub.launch, chosen))
        time.sleep(_SETTLE_SECONDS)
        held = pss_bytes(one.pid for one in hub.servers()) / number / _MIB
        list(threads.map(hub.stop, chosen))
    return held


def _idle(platform: Platform, hub: Hub) -> str:
    parts = ("front-door", "control-plane", "fork-server")
    own = {part: pss_bytes([platform.process_of(part)]) / _MIB for part in parts}
    whole_hub = pss_bytes([hub.pid, *(one.pid for one in descendants(hub.pid))]) / _MIB
    listed = ", ".join(f"{part} {size:.0f} MiB" for part, size in own.items())
    return f"Studiolo's {listed}; JupyterHub with its proxy {whole_hub:.0f} MiB"


if __name__ == "__main__":
    main()
