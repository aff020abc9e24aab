"""How long from the launch call until JupyterLab's page answers 200?

Studiolo: POST of a session, then GET of its page through the front door with a key.
JupyterHub: launch call of a named server, then GET of its page through configurable-http-proxy with a token.
jupyter lab: from starting the program to the first 200, asked every 5 ms.
Also: ten launches of Studiolo at once, until the last page has answered.
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
from _report import Options, Report, options

_AT_ONCE = 10
Result = TypeVar("Result")


def main() -> None:
    """Measure and report."""
    report = Report("launch", options(__doc__))
    with studiolo() as platform, jupyterhub() as hub:
        workspace = platform.make_workspace("launch")
        report.series += single(report.options, platform, workspace, hub)
        report.series.append(burst(report.options, platform, workspace))
    ours, theirs, fresh, ten = report.series
    report.at_most("Studiolo, median", ours.median * 1000, 250, "ms")
    report.at_least("JupyterHub / Studiolo", theirs.median / ours.median, 10)
    report.at_least("jupyter lab / Studiolo", fresh.median / ours.median, 8)
    report.at_most(f"{_AT_ONCE} at once, median", ten.median, 1.5, "s")
    report.finish()


def single(options: Options, platform: Platform, workspace: str, hub: Hub) -> list[Series]:
    """One launch at a time, the contenders in turn."""
    names = (f"server{number}" for number in itertools.count())

    def ours() -> float:
        seconds, session = _timed(lambda: _launch(platform, workspace))
        platform.stop(session)
        return seconds

    def theirs() -> float:
        name = next(names)
        seconds, _ = _timed(lambda: hub.launch(name))
        hub.stop(name)
        return seconds

    def fresh() -> float:
        began = time.perf_counter()
        with fresh_lab():
            return time.perf_counter() - began

    hub_name = f"JupyterHub {version_of('jupyterhub')}, proxy {proxy_version()}"
    lab_name = f"jupyter lab {version_of('jupyterlab')}"
    return alternate(options.runs, "s", {"Studiolo": ours, hub_name: theirs, lab_name: fresh})


def burst(options: Options, platform: Platform, workspace: str) -> Series:
    """Ten launches at the same moment, until the last page has answered."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:

        def ten() -> float:
            def all_of_them() -> list[str]:
                return list(threads.map(lambda _: _launch(platform, workspace), range(_AT_ONCE)))

            seconds, sessions = _timed(all_of_them)
            list(threads.map(platform.stop, sessions))
            return seconds

        (series,) = alternate(options.runs, "s", {f"Studiolo, {_AT_ONCE} at once": ten})
    return series


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
