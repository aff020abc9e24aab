"""How long does a search over 5,000 notebooks take, once they are indexed? And to index them, and to look for changes?

Beside it `grep -rl`, which reads all files each time.
"""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _measure import Series, alternate
from _notebooks import write_many
from _report import Report, options

from studiolo.files.root import Root
from studiolo.files.search.searches import Searches
from studiolo.files.workers.pool import WorkerPool

_NOTEBOOKS = 5000
_LONG = 600.0


def main() -> None:
    """Measure and report."""
    report = Report("search", options(__doc__, runs=12))
    with tempfile.TemporaryDirectory() as made, asyncio.Runner() as runner:
        folder = Path(made) / "workspace"
        folder.mkdir()
        write_many(folder, _NOTEBOOKS)
        pool = WorkerPool()
        searches = Searches(Path(made) / "indexes", pool)
        with Root(folder) as root:

            def find(text: str, hits: int, wait: float | None = None) -> Callable[[], float]:
                def search() -> float:
                    began = time.perf_counter()
                    found = runner.run(searches.search("w-1", root, text, wait=wait))
                    took = time.perf_counter() - began
                    assert len(found.items) == hits, found
                    return took

                return search

            def grep() -> float:
                began = time.perf_counter()
                subprocess.run(["grep", "-rl", "needle_4321 ", folder], check=True, capture_output=True)
                return time.perf_counter() - began

            try:
                runner.run(pool.prepare())
                first = Series("first index of all", "s", [find("needle_4321", 1, _LONG)()])
                report.series = [
                    first,
                    *alternate(
                        report.options.runs,
                        "s",
                        {
                            "grep -rl": grep,
                            "a rare word": find("needle_4321", 1),
                            "a word of every notebook": find("read_parquet", 50),
                            "two common words": find("price churn", 50),
                        },
                    ),
                ]
            finally:
                runner.run(searches.close())
                runner.run(pool.close())
    for one in report.series[2:]:
        report.at_most(f"{one.name}, median", one.median * 1000, 300, "ms")
    report.notes.append(f"{_NOTEBOOKS} notebooks; answers include the look at change times, at most each two seconds")
    report.finish()


if __name__ == "__main__":
    main()
