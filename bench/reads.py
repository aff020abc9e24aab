"""How many reads per second: one workspace, and a page of 50, with 1,000 and with 10,000 of them?

The peer is JupyterHub: one user, and a page of 50 users, of as many users. Both are asked through their own public
port by wrk over 32 kept connections, with the key of an administrator who owns everything.
"""

import contextlib
from collections.abc import Iterator
from functools import partial

from _crowd import crowd
from _hub import jupyterhub
from _measure import Contender, alternate
from _platform import studiolo
from _report import Report, options
from _wrk import requests_per_second

_SECONDS = 2.0
_SIZES = (1_000, 10_000)
_KINDS = ("one", "a page of 50")
_TIMES = 5.0
_FLAT = 0.9


def main() -> None:
    """Measure and report."""
    report = Report("reads", options(__doc__))
    with contextlib.ExitStack() as stack:
        ours, theirs = {}, {}
        for size in _SIZES:
            ours[size] = stack.enter_context(_studiolo(size))
            theirs[size] = stack.enter_context(_hub(size))
        for kind in _KINDS:
            contenders: dict[str, Contender] = {}
            for size in _SIZES:
                contenders[f"Studiolo, {kind} of {size:,}"] = partial(requests_per_second, *ours[size][kind], _SECONDS)
                contenders[f"JupyterHub, {kind} of {size:,}"] = partial(
                    requests_per_second, *theirs[size][kind], _SECONDS
                )
            series = alternate(report.options.runs, "requests/s", contenders)
            report.series += series
            small, hub_small, large, hub_large = (one.median for one in series)
            report.at_least(f"Studiolo / JupyterHub, {kind} of {_SIZES[0]:,}", small / hub_small, _TIMES)
            report.at_least(f"Studiolo / JupyterHub, {kind} of {_SIZES[1]:,}", large / hub_large, _TIMES)
            report.at_least(f"10,000 / 1,000, {kind}", large / small, _FLAT)
    report.finish()


@contextlib.contextmanager
def _studiolo(size: int) -> Iterator[dict[str, tuple[str, dict[str, str]]]]:
    with studiolo() as platform:
        workspace = platform.make_workspace("reads")
        platform.down()
        with crowd(platform, workspace_count=size, session_count=0):
            platform.up()
            headers = {"Host": f"localhost:{platform.port}", "Authorization": f"Bearer {platform.key}"}
            base = f"http://127.0.0.1:{platform.port}/api/v1/jupyter/workspaces"
            yield {"one": (f"{base}/{workspace}", headers), "a page of 50": (f"{base}?limit=50", headers)}


@contextlib.contextmanager
def _hub(size: int) -> Iterator[dict[str, tuple[str, dict[str, str]]]]:
    with jupyterhub(people=size) as hub:
        base = f"http://127.0.0.1:{hub.port}/hub/api/users"
        yield {"one": (f"{base}/person-{size // 2}", hub.headers), "a page of 50": (f"{base}?limit=50", hub.headers)}


if __name__ == "__main__":
    main()
