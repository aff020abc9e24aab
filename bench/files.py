"""How quick are files through the front door, and what does the control plane notice?

A file goes up and down by `studiolo cp`, checksums and start included, against `cp` of the same file on the same disk.
An upload is durable when it is done, and so is `cp` with `sync` behind it; a download is not, nor is `cp` alone. All
begin alike: nothing waits to be written, and the file that is read is in memory. Meanwhile another person, a process of
its own, asks the control plane small questions, compared with those of a quiet time just before. Who carries would sit
at another machine, and so runs at the file host's low priority here. Then a folder of 10,000 files is listed: until the
answer has come through the front door, and beside it until the Python client has made objects of it.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
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
_PIECE = 1 << 20


def main() -> None:
    """Measure and report."""
    report = Report("files", options(__doc__, runs=3, size_mib=5 * 1024))
    with studiolo() as platform, Studiolo(f"http://localhost:{platform.port}", platform.key) as client:
        workspace = platform.make_workspace("carried")
        folder = Path(client.workspaces.get(workspace).path)
        _carry(report, platform, workspace, folder)
        report.series += _list(platform.client, client, workspace, folder, report.options.runs)
        report.at_most(f"list {_LISTED} files", report.series[-2].median, 100, "ms")
    report.finish()


def _carry(report: Report, platform: Platform, workspace: str, folder: Path) -> None:
    source = platform.data / "source.bin"
    with source.open("wb") as file:
        for _ in range(report.options.size_mib):
            file.write(os.urandom(_PIECE))
    with _other_person(platform.client, f"/api/v1/jupyter/workspaces/{workspace}/members") as other:
        carried = Carried(platform, folder, source, other)
        units = {"up": "MiB/s", "down": "MiB/s", "answers meanwhile": "ms", "quiet answers": "ms"}
        contenders = {"Studiolo": carried.by_studiolo, "cp": carried.by_cp, "cp, synced": carried.by_synced_cp}
        found = alternate_parts(report.options.runs, units, contenders)
    report.series += [series for parts in found.values() for series in parts.values()]
    ours = found["Studiolo"]
    report.at_least("up / synced cp", ours["up"].median / found["cp, synced"]["up"].median, 0.7)
    report.at_least("up / cp", ours["up"].median / found["cp"]["up"].median, 0.7)
    report.at_least("down / cp", ours["down"].median / found["cp"]["down"].median, 0.7)
    slower = ours["answers meanwhile"].median / ours["quiet answers"].median
    report.at_most("control plane's answers while files pass, by its quiet ones", slower, 1.25, "times")


class Other:
    """Somebody who asks the control plane meanwhile, in a process of their own."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def answers_while(self, work: Callable[[], object]) -> float:
        """Do some work; return the median time of an answer meanwhile, in milliseconds."""
        self._pipe.send("begin")
        try:
            work()
        finally:
            self._pipe.send("stop")
            median = float(self._pipe.recv())
        return median


@contextlib.contextmanager
def _other_person(client: Client, path: str) -> Iterator[Other]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    with ours:
        context.Process(target=_ask, args=(client, path, theirs), daemon=True).start()
        theirs.close()
        yield Other(ours)


def _ask(client: Client, path: str, pipe: Connection) -> None:
    with contextlib.suppress(EOFError):
        while pipe.recv():
            found = []
            while not pipe.poll(_ASK_SECONDS):
                begun = time.perf_counter()
                client.ask("GET", path).json  # noqa: B018 ends the process unless it is answered
                found.append((time.perf_counter() - begun) * 1000)
            pipe.recv()
            pipe.send(statistics.median(found))


class Carried:
    """Carries one file in several ways; each returns MiB per second up and down, and the control plane's answers."""

    def __init__(self, platform: Platform, folder: Path, source: Path, other: Other) -> None:
        url = {"STUDIOLO_URL": f"http://localhost:{platform.port}", "STUDIOLO_KEY": platform.key}
        self._environment = platform.environment | url
        self._folder = folder
        self._source = source
        self._other = other

    def by_studiolo(self) -> dict[str, float]:
        """Up and down through the front door."""
        there, target = self._folder / "up.bin", self._source.with_name("down.bin")
        quiet = self._other.answers_while(lambda: time.sleep(_QUIET_SECONDS))
        up, above = self._timed(self._source, lambda: self._studiolo_cp(self._source, "carried:up.bin"))
        down, below = self._timed(there, lambda: self._studiolo_cp("carried:up.bin", target))
        target.unlink()
        there.unlink()
        return {"up": up, "down": down, "answers meanwhile": statistics.mean((above, below)), "quiet answers": quiet}

    def by_cp(self) -> dict[str, float]:
        """By the program, whose data may still be in memory when it ends."""
        return self._copy(())

    def by_synced_cp(self) -> dict[str, float]:
        """By the program, until the data is on the disk."""
        return self._copy(("sync",))

    def _studiolo_cp(self, source: str | Path, target: str | Path) -> None:
        argv: list[str | Path] = ["nice", "-n", "5", Path(sys.executable).with_name("studiolo"), "cp", source, target]
        subprocess.run(argv, env=self._environment, check=True, stdout=subprocess.DEVNULL)

    def _copy(self, after: tuple[str, ...]) -> dict[str, float]:
        target = self._folder / "copied.bin"

        def copy() -> None:
            subprocess.run(["cp", "--reflink=never", self._source, target], check=True)
            if after:
                subprocess.run([*after, target], check=True)

        quiet = self._other.answers_while(lambda: time.sleep(_QUIET_SECONDS))
        speed, answers = self._timed(self._source, copy)
        target.unlink()
        return {"up": speed, "down": speed, "answers meanwhile": answers, "quiet answers": quiet}

    def _timed(self, source: Path, work: Callable[[], object]) -> tuple[float, float]:
        """Carry `source`; return MiB per second, and the middle of the control plane's answers meanwhile."""
        os.sync()
        with source.open("rb", buffering=0) as file:
            while file.read(_PIECE):
                pass
        taken = 0.0

        def carry() -> None:
            nonlocal taken
            begun = time.perf_counter()
            work()
            taken = time.perf_counter() - begun

        answers = self._other.answers_while(carry)
        return source.stat().st_size / 2**20 / taken, answers


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
