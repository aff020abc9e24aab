"""How quick are files through the front door, and what does the control plane notice?

A file goes up and down by the Python client, checksums included, against `cp` of the same file on the same disk; an
upload is durable when it is done, so that `cp` is synced too for the second comparison. Meanwhile the control plane
answers small requests, compared with a quiet time. Then a folder of 10,000 files is listed: until the answer has come
through the front door, and beside it until the Python client has made objects of it.
"""

import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from _http import Client
from _measure import Series, alternate, alternate_parts
from _platform import Platform, studiolo
from _report import Report, options

from studiolo.sdk import Studiolo

_ASK_SECONDS = 0.02
_QUIET_SECONDS = 3.0
_LISTED = 10_000
_LISTINGS = 20


def main() -> None:
    """Measure and report."""
    report = Report("files", options(__doc__, runs=3, size_mib=5 * 1024))
    with studiolo() as platform, Studiolo(f"http://localhost:{platform.port}", platform.key) as client:
        workspace = platform.make_workspace("carried")
        folder = Path(client.workspaces.get(workspace).path)
        source = platform.data / "source.bin"
        with source.open("wb") as file:
            for _ in range(report.options.size_mib):
                file.write(_piece())
        carried = Carried(platform, client, workspace, folder, source, report.options.size_mib)
        units = {"up": "MiB/s", "down": "MiB/s"}
        contenders = {"Studiolo": carried.by_studiolo, "cp": carried.by_cp, "cp, synced": carried.by_synced_cp}
        found = alternate_parts(report.options.runs, units, contenders)
        report.series += [series for parts in found.values() for series in parts.values()]
        report.at_least("up / cp", found["Studiolo"]["up"].median / found["cp"]["up"].median, 0.7)
        report.at_least("up / synced cp", found["Studiolo"]["up"].median / found["cp, synced"]["up"].median, 0.7)
        report.at_least("down / cp", found["Studiolo"]["down"].median / found["cp"]["down"].median, 0.7)
        quiet = carried.answers_while(lambda: time.sleep(_QUIET_SECONDS))
        busy = statistics.median(carried.answers)
        report.at_most("control plane's answer while files pass, by its quiet one", busy / quiet, 1.25, "times")
        report.series += _list(platform.client, client, workspace, folder, report.options.runs)
        report.at_most(f"list {_LISTED} files", report.series[-2].median, 100, "ms")
    report.finish()


class Carried:
    """Carries one file in several ways; each returns MiB per second, up and down."""

    def __init__(
        self, platform: Platform, client: Studiolo, workspace: str, folder: Path, source: Path, size_mib: int
    ) -> None:
        self._platform = platform
        self._client = client
        self._workspace = workspace
        self._folder = folder
        self._source = source
        self._size_mib = size_mib
        self.answers: list[float] = []

    def by_studiolo(self) -> dict[str, float]:
        """Up and down through the front door."""
        up, down = 0.0, 0.0
        target = self._source.with_name("down.bin")

        def carry() -> None:
            nonlocal up, down
            up = self._timed(lambda: self._client.files.upload(self._workspace, self._source, "up.bin"))
            down = self._timed(lambda: self._client.files.download(self._workspace, "up.bin", target))

        self.answers.append(self.answers_while(carry))
        target.unlink()
        (self._folder / "up.bin").unlink()
        return {"up": up, "down": down}

    def by_cp(self) -> dict[str, float]:
        """By the program, whose data may still be in memory when it ends."""
        return self._copy(())

    def by_synced_cp(self) -> dict[str, float]:
        """By the program, until the data is on the disk."""
        return self._copy(("sync",))

    def answers_while(self, work: Callable[[], object]) -> float:
        """Do some work; return the median time of a small answer of the control plane meanwhile, in seconds."""
        asked, stop = [], threading.Event()
        # A connection of its own, as another person has.
        other = Client(self._platform.port, {"Authorization": f"Bearer {self._platform.key}"})

        def ask() -> None:
            while not stop.wait(_ASK_SECONDS):
                begun = time.perf_counter()
                other.ask("GET", f"/api/v1/jupyter/workspaces/{self._workspace}/members")
                asked.append(time.perf_counter() - begun)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            work()
        finally:
            stop.set()
            asking.join()
        return statistics.median(asked)

    def _copy(self, after: tuple[str, ...]) -> dict[str, float]:
        target = self._folder / "copied.bin"

        def copy() -> None:
            subprocess.run(["cp", "--reflink=never", self._source, target], check=True)
            if after:
                subprocess.run([*after, target], check=True)

        speed = self._timed(copy)
        target.unlink()
        return {"up": speed, "down": speed}

    def _timed(self, work: Callable[[], object]) -> float:
        begun = time.perf_counter()
        work()
        return self._size_mib / (time.perf_counter() - begun)


def _piece() -> bytes:
    with Path("/dev/urandom").open("rb") as noise:
        return noise.read(1 << 20)


def _list(asking: Client, client: Studiolo, workspace: str, folder: Path, runs: int) -> list[Series]:
    """Return how long it takes to list a folder of many files, in milliseconds: as JSON, and as objects."""
    (folder / "many").mkdir()
    for number in range(_LISTED):
        (folder / "many" / f"file {number}.csv").touch()

    def answered() -> float:
        begun = time.perf_counter()
        reply = asking.ask("GET", f"/api/v1/jupyter/workspaces/{workspace}/files?path=many&limit={_LISTED}")
        taken = time.perf_counter() - begun
        assert len(reply.json["items"]) == _LISTED
        return taken * 1000

    def made() -> float:
        begun = time.perf_counter()
        found = list(client.files.list(workspace, "many", page_size=_LISTED))
        taken = time.perf_counter() - begun
        assert len(found) == _LISTED
        return taken * 1000

    return alternate(max(runs, _LISTINGS), "ms", {"the answer": answered, "objects of it": made})


if __name__ == "__main__":
    main()
