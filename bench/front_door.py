"""How many requests per second pass the front door, authorisation included?

Both contenders carry the same requests to the same upstream: Studiolo's front door authorises each of them (by a
question or a shortcut) and takes a unix socket, configurable-http-proxy asks nobody and takes a port of loopback.
Load: wrk with 32 kept connections; small replies of 64 bytes and files of 1 MiB, two seconds a run. Where wrk, the
upstream and the proxy share two processors, requests per second are as much wrk's and the upstream's matter: so each
proxy's own processor time for a reply is shown beside them (ours: the front door and the control plane, which it asks).
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import psutil
from _http import Client
from _measure import alternate_parts
from _peers import proxy_version
from _platform import Platform, studiolo
from _processes import running, wait_until
from _proxy import configurable_http_proxy
from _report import Report, options
from _wrk import requests_per_second

from studiolo.testing.ports import free_port

_SECONDS = 2.0
_GOALS = {"small": 1.2, "large": 2.0}
_RATE, _COST = "replies", "processor time"
_UNITS = {_RATE: "requests/s", _COST: "ms"}


def main() -> None:
    """Measure and report."""
    report = Report("front_door", options(__doc__))
    with studiolo() as platform:
        path = _session(platform)
        with _upstream(platform, path) as port, configurable_http_proxy(path, port) as (proxy_port, proxy):
            own = [platform.process_of(part) for part in ("front-door", "control-plane")]
            for size, goal in _GOALS.items():
                contenders = {
                    f"Studiolo, {size}": partial(_load, platform, platform.port, f"{path}/{size}", own),
                    f"proxy {proxy_version()}, {size}": partial(_load, platform, proxy_port, f"{path}/{size}", [proxy]),
                }
                measured = alternate_parts(report.options.runs, _UNITS, contenders)
                report.series += [one for parts in measured.values() for one in parts.values()]
                ours, theirs = (parts[_RATE].median for parts in measured.values())
                report.at_least(f"Studiolo / proxy, {size}", ours / theirs, goal)
    report.finish()


def _session(platform: Platform) -> str:
    """Start a real session and return its path, without a slash at its end."""
    session = platform.launch(platform.make_workspace("front-door"))
    state = platform.client.ask("GET", f"/api/v1/jupyter/sessions/{session}?wait=60").json["state"]
    if state != "running":
        raise SystemExit(f"error: session {session} is {state}.")
    return f"/s/{session}"


@contextlib.contextmanager
def _upstream(platform: Platform, path: str) -> Iterator[int]:
    """Run the stand-in for a session on the session's own socket and on a port, which is yielded.

    The session runs on, so its row, its rights and its upstream are the real ones; only its socket is taken away,
    before anything has connected to it.
    """
    (socket,) = (platform.run / "s").glob(f"{Path(path).name}.*.sock")
    socket.rename(socket.with_suffix(".away"))
    port = free_port()
    argv = (sys.executable, str(Path(__file__).with_name("_upstream.py")), str(socket), str(port))
    with running(argv, log=platform.data / "logs" / "upstream.log"):
        wait_until(lambda: Client(port, {}).answers("/small"), "the upstream's answer")
        yield port


def _load(platform: Platform, port: int, path: str, proxy: Sequence[int]) -> Mapping[str, float]:
    headers = {"Host": f"localhost:{platform.port}", "Authorization": f"token {platform.key}"}
    began = _processor_seconds(proxy)
    rate = requests_per_second(f"http://127.0.0.1:{port}{path}", headers, _SECONDS)
    return {_RATE: rate, _COST: (_processor_seconds(proxy) - began) * 1000 / (rate * _SECONDS)}


def _processor_seconds(pids: Sequence[int]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


if __name__ == "__main__":
    main()
