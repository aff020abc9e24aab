"""How long is the control plane gone after kill -9, with 10,000 workspaces and 200 known sessions?

Each run starts the platform, kills its control plane and asks through the front door: for the health address, a
page of 50 workspaces, and JupyterLab's page of a real session. Five of the sessions are real, the others have a
stand-in for their shim. All times count from the kill.
"""

import os
import signal
import time

from _crowd import crowd
from _measure import Series
from _platform import Platform, studiolo
from _processes import wait_until
from _report import Report, options

_WORKSPACES = 10_000
_SESSIONS = 200
_REAL = 5
_ASK_EVERY_SECONDS = 0.005


def main() -> None:
    """Measure and report."""
    report = Report("restart", options(__doc__))
    report.series = [Series(name, "s") for name in ("first answer", "a page of workspaces", "a session's page")]
    with studiolo() as platform:
        workspace = platform.make_workspace("restart")
        real = [platform.launch(workspace) for _ in range(_REAL)]
        for session in real:
            platform.enter(session)
        platform.down()
        with crowd(platform, workspace_count=_WORKSPACES, session_count=_SESSIONS - _REAL):
            for turn in range(report.options.runs):
                times = one_run(platform, f"/s/{real[turn % _REAL]}/lab")
                for series, seconds in zip(report.series, times, strict=True):
                    series.values.append(seconds)
        platform.up()
    report.at_most("first answer, median", report.series[0].median, 2, "s")
    report.finish()


def one_run(platform: Platform, session_page: str) -> list[float]:
    """Start, kill, ask; return the seconds from the kill to each answer."""
    platform.up()
    wait_until(lambda: _count_running(platform) == _SESSIONS, f"the sight of {_SESSIONS} running sessions")
    os.kill(platform.process_of("control-plane"), signal.SIGKILL)
    killed = time.perf_counter()
    times = []
    for path in ("/api/v1/health", "/api/v1/jupyter/workspaces?limit=50", session_page):
        platform.client.await_200(path, pause=_ASK_EVERY_SECONDS)
        times.append(time.perf_counter() - killed)
    if _count_running(platform) != _SESSIONS:
        raise SystemExit("error: the restart lost sessions.")
    platform.down()
    return times


def _count_running(platform: Platform) -> int:
    path = "/api/v1/jupyter/sessions?state=running&limit=200"
    return len(platform.client.ask("GET", path).json["items"])


if __name__ == "__main__":
    main()
