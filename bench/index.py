"""The package index: what it adds to an installation, how much it answers, and what it holds in memory.

    python bench/index.py [--runs 5] [--save]

`uv pip install numpy pandas scikit-learn` into an empty folder with an empty cache of its own: from this machine's
index directly, through a platform's front door (files kept, and the first time), and through proxpi likewise. Then
pages and refusals per second, the first page of a project with 4,000 files, and 500 MB of wheels through the cache.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import _report
import psutil
from _index_host import SECRET
from _index_peer import proxpi
from _index_work import first_page_milliseconds, wheels_folder
from _measure import Contender, alternate
from _platform import Platform, studiolo
from _processes import clean_environment, running, wait_until
from _wrk import requests_per_second

from studiolo.packages.index.callers import HEADER, SECRET_HEADER
from studiolo.packages.index.channels import find_default_index
from studiolo.packages.index.pages import JSON
from studiolo.testing.ports import free_port

_BENCH, _UV = Path(__file__).resolve().parent, Path(sys.executable).with_name("uv")
_PACKAGES = ("numpy", "pandas", "scikit-learn")
_PROJECT, _BLOCKED = "attrs", "requests"
_TOMBSTONE = f"denied/BLOCKED-{_BLOCKED}--run--ml-jupyter-request-bench-{_BLOCKED}/{_BLOCKED}-2.32.0-py3-none-any.whl"
_WHEELS, _WHEEL_BYTES = 10, 50 << 20
_SECONDS = 4.0


def install(index: str) -> float:
    """Install with an empty cache; return seconds."""
    # Memory rather than a disk, whose own pauses would be all that is seen.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        argv = [_UV, "pip", "install", "--quiet", "--no-config", "--python", sys.executable, "--target", f"{name}/t"]
        environment = clean_environment(UV_CACHE_DIR=f"{name}/cache", UV_DEFAULT_INDEX=index)
        began = time.perf_counter()
        subprocess.run([*argv, *_PACKAGES], env=environment, check=True, timeout=600)
        return time.perf_counter() - began


def make_cold(platform: Platform, index: str) -> None:
    """Have the platform's index forget all it keeps."""
    killed = platform.process_of("package-index")
    shutil.rmtree(platform.data / "packages")
    psutil.Process(killed).kill()
    wait_until(lambda: platform.process_of("package-index") != killed, "another package index")
    headers = (
        "--retry",
        "60",
        "--retry-all-errors",
        "--retry-delay",
        "1",
        "--silent",
        "--fail",
        "--output",
        os.devnull,
    )
    subprocess.run(["curl", *headers, f"{index}{_PROJECT}/"], check=True)


def measure_installs(report: _report.Report, platform: Platform, index: str) -> None:
    """Compare direct, warm and cold, with the peer's."""
    direct = find_default_index(os.environ)
    with proxpi(direct) as peer:

        def cold(forget: Callable[[], None], address: str) -> float:
            forget()
            return install(address)

        for filled in (index, peer.address):
            install(filled)
        # Whoever was made cold is warm after it.
        found = alternate(
            report.options.runs,
            "s",
            {
                "direct": lambda: install(direct),
                "Studiolo, cold": lambda: cold(lambda: make_cold(platform, index), index),
                "Studiolo, warm": lambda: install(index),
                "proxpi, cold": lambda: cold(peer.make_cold, peer.address),
                "proxpi, warm": lambda: install(peer.address),
            },
        )
    base, ours_cold, ours, theirs_cold, theirs = (series.median for series in found)
    report.series += found
    report.at_most("warm, of direct", ours / base, 1, "times")
    report.at_most("cold, of direct", ours_cold / base, 1.3, "times")
    report.at_most("warm, of proxpi's", ours / theirs, 1, "times")
    report.at_most("cold, of proxpi's", ours_cold / theirs_cold, 1, "times")


def measure_rates(report: _report.Report, index: str, key: str) -> None:
    """Count answers per second through the front door and at the host itself."""
    authorised = {"Authorization": f"Bearer {key}", "Accept": JSON}
    with host() as (own, headers, _):
        places = {
            "page, front door": (f"{index}{_PROJECT}/", authorised, 1500),
            "refusal, front door": (index.replace("simple/", _TOMBSTONE), authorised, 1200),
            "page, host": (f"{own}/pypi/simple/{_PROJECT}/", headers, 4000),
            "refusal, host": (f"{own}/pypi/{_TOMBSTONE}", headers, 3000),
        }
        contenders = {name: _load(*place[:2], may_refuse="refusal" in name) for name, place in places.items()}
        for series, (*_, goal) in zip(alternate(3, "/s", contenders), places.values(), strict=True):
            report.series.append(series)
            report.at_least(f"{series.name}, of {goal}/s", series.median / goal, 1)


def measure_memory(report: _report.Report) -> None:
    """Send 500 MB of wheels through the host's cache, and look at its memory."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        index, files = stack.enter_context(wheels_folder(folder, _WHEELS, _WHEEL_BYTES))
        own, headers, pid = stack.enter_context(host(index))
        process = psutil.Process(pid)
        sent = [word for pair in headers.items() for word in ("-H", f"{pair[0]}: {pair[1]}")]

        def fetch(file: str) -> None:
            url = f"{own}/pypi/files/big/{file}"
            subprocess.run(["curl", "--silent", "--fail", "--output", os.devnull, *sent, url], check=True)

        fetch(files[0])
        before = process.memory_info().rss
        for file in files[1:]:
            fetch(file)
        report.at_most("memory after 450 MB more", (process.memory_info().rss - before) / 1e6, 20, "MB")


@contextlib.contextmanager
def host(index: str | None = None) -> Iterator[tuple[str, dict[str, str], int]]:
    """Run an index host alone; give its address, the headers that it wants, and its pid."""
    port = free_port()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        log = Path(name) / "log"
        argv = [sys.executable, _BENCH / "_index_host.py", str(port), f"{name}/data"]
        with running([*argv, index or find_default_index(os.environ), _BLOCKED], log=log) as process:
            wait_until(lambda: bool(log.read_text().strip()), "the index host")
            caller = log.read_text().splitlines()[0]
            yield f"http://127.0.0.1:{port}", {SECRET_HEADER: SECRET, HEADER: caller, "Accept": JSON}, process.pid


def main() -> None:
    """Measure and print."""
    report = _report.Report("index", _report.options(__doc__, runs=5))
    with studiolo() as platform:
        platform.make_workspace("bench")
        own = f"127.0.0.1:{platform.port}/w/bench/pypi/simple/"
        measure_rates(report, f"http://{own}", platform.key)
        measure_installs(report, platform, f"http://me:{platform.key}@{own}")
    report.at_most("first page of 4,000 files", first_page_milliseconds(), 60, "ms")
    measure_memory(report)
    report.notes.append(f"Packages: {' '.join(_PACKAGES)}; the page is that of {_PROJECT}.")
    report.finish()


def _load(url: str, headers: Mapping[str, str], *, may_refuse: bool) -> Contender:
    return lambda: requests_per_second(url, headers, _SECONDS, may_refuse=may_refuse)


if __name__ == "__main__":
    main()
