"""How long from the launch call until JupyterLab's page answers 200?

Studiolo: POST of a session, then GET of its page through the front door with a key; from the pool, which is full
before each launch, and forked at the launch, by a second platform that keeps no spares.
JupyterHub: launch call of a named server, then GET of its page through configurable-http-proxy with a token.
jupyter lab: from starting the program to the first 200, asked every 5 ms.
Also: ten launches of Studiolo at once, until the last page has answered; and the memory that a spare holds.
"""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from _hub import Hub, jupyterhub
from _lab import fresh_lab
from _measure import Series, alternate
from _peers import proxy_version, version_of
from _platform import Platform, studiolo
from _processes import descendants, pss_bytes, uss_bytes
from _report import Options, Report, options

_AT_ONCE = 10
_MIB = 1 << 20
Result = TypeVar("Result")


def main() -> None:
    """Measure and report."""
    report = Report("launch", options(__doc__))
    with studiolo() as pool, studiolo(spares=0) as bare, jupyterhub() as hub:
        report.series += single(report.options, pool, bare, hub)
        report.series.append(burst(report.options, pool))
        report.notes.append(memory_of_a_spare(pool))
    pooled, forked, theirs, fresh, ten = report.series
    report.at_most("Studiolo from the pool, median", pooled.median * 1000, 80, "ms")
    report.at_most("Studiolo forked, median", forked.median * 1000, 250, "ms")
    report.at_least("JupyterHub / Studiolo from the pool", theirs.median / pooled.median, 10)
    report.at_least("jupyter lab / Studiolo from the pool", fresh.median / pooled.median, 8)
    report.at_most(f"{_AT_ONCE} at once, median", ten.median, 1.5, "s")
    report.finish()


def single(options: Options, pool: Platform, bare: Platform, hub: Hub) -> list[Series]:
    """One launch at a time, the contenders in turn."""
    names = (f"server{number}" for number in itertools.count())

    def theirs() -> float:
        name = next(names)
        seconds, _ = _timed(lambda: hub.launch(name))
        hub.stop(name)
        return seconds

    def fresh() -> float:
        began = time.perf_counter()
        with fresh_lab():
            return time.perf_counter() - began

    contenders = {
        "Studiolo, from the pool": _launches(pool),
        "Studiolo, forked": _launches(bare),
        f"JupyterHub {version_of('jupyterhub')}, proxy {proxy_version()}": theirs,
        f"jupyter lab {version_of('jupyterlab')}": fresh,
    }
    return alternate(options.runs, "s", contenders)


def burst(options: Options, platform: Platform) -> Series:
    """Ten launches at the same moment, until the last page has answered."""
    workspace = platform.make_workspace("burst")
    with ThreadPoolExecutor(_AT_ONCE) as threads:

        def ten() -> float:
            def all_of_them() -> list[str]:
                return list(threads.map(lambda _: _launch(platform, workspace), range(_AT_ONCE)))

            platform.await_spares()
            seconds, sessions = _timed(all_of_them)
            list(threads.map(platform.stop, sessions))
            return seconds

        (series,) = alternate(options.runs, "s", {f"Studiolo, {_AT_ONCE} at once": ten})
    return series


def memory_of_a_spare(platform: Platform) -> str:
    """Say what the spares hold, when no session runs."""
    shims = platform.await_spares()
    servers = [child.pid for shim in shims for child in descendants(shim)]
    held, waiting = (pss_bytes(pids) / len(shims) / _MIB for pids in ([*shims, *servers], servers))
    own = uss_bytes([*shims, *servers]) / len(shims) / _MIB
    return (
        f"A spare holds {held:.0f} MiB (proportional set size), its waiting server {waiting:.0f} MiB of them; "
        f"{own:.0f} MiB are shared with no other process."
    )


def _launches(platform: Platform) -> Callable[[], float]:
    workspace = platform.make_workspace("launch")

    def one() -> float:
        platform.await_spares()
        seconds, session = _timed(lambda: _launch(platform, workspace))
        platform.stop(session)
        return seconds

    return one


def _launch(platform: Platform, workspace: str) -> str:
    session = platform.launch(workspace)
    platform.enter(session)
    return session


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


if __name__ == "__main__":
    main()
