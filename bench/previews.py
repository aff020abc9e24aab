"""How long does a 5 MB notebook take to be shown: the first time, and again?

Beside it plain nbconvert, loaded already and with its own template, as a viewer would use it that keeps nothing. A
first preview has new content each time; it runs in a worker that was started before.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from _measure import alternate
from _notebooks import notebook_of
from _report import Report, options
from nbconvert.exporters.html import HTMLExporter

from studiolo.files.previews.store import Previews
from studiolo.files.workers.pool import WorkerPool

_SIZE = 5_000_000


def main() -> None:
    """Measure and report."""
    report = Report("previews", options(__doc__, runs=8))
    with tempfile.TemporaryDirectory() as made, asyncio.Runner() as runner:
        folder = Path(made)
        pool = WorkerPool()
        previews = Previews(folder / "kept", pool)
        known = folder / "known.ipynb"
        known.write_text(notebook_of(_SIZE, 0))
        seeds = iter(range(1, 1000))

        def show(file: Path) -> float:
            async def shown() -> int:
                with file.open("rb") as opened:
                    return len((await previews.preview(opened.fileno(), file.name)).read_bytes())

            began = time.perf_counter()
            assert runner.run(shown()) > _SIZE / 2
            return time.perf_counter() - began

        def first() -> float:
            file = folder / "new.ipynb"
            file.write_text(notebook_of(_SIZE, next(seeds)))
            return show(file)

        def plain() -> float:
            began = time.perf_counter()
            HTMLExporter().from_filename(str(known))
            return time.perf_counter() - began

        try:
            runner.run(pool.prepare())
            show(known)
            report.series = alternate(
                report.options.runs,
                "s",
                {"plain nbconvert": plain, "preview, first": first, "preview, again": lambda: show(known)},
            )
        finally:
            runner.run(pool.close())
    nbconvert, new, again = report.series
    report.at_most("first preview, median", new.median, 1, "s")
    report.at_most("again, median", again.median * 1000, 20, "ms")
    report.at_least("again, times as quick as plain nbconvert", nbconvert.median / again.median, 3)
    report.finish()


if __name__ == "__main__":
    main()
