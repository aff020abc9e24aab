"""What a benchmark is asked and what it prints: a plain table, and with --save a file of results."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from _measure import Series
from _processes import end_by_exception

_RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Options:
    """The command line. `runs`: rounds, each of which runs every contender once. `size_mib`: where a size matters."""

    runs: int
    save: bool
    size_mib: int = 0


def options(description: str | None, *, runs: int = 20, size_mib: int | None = None) -> Options:
    """Read the command line of a benchmark. `runs`, `size_mib`: defaults; None: it has no size."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=runs, help="alternating runs (default: %(default)s)")
    if size_mib is not None:
        parser.add_argument(
            "--size", type=int, default=size_mib, metavar="MIB", help="file's size (default: %(default)s)"
        )
    parser.add_argument("--save", action="store_true", help="write bench/results/NAME.json")
    given = parser.parse_args()
    end_by_exception()
    return Options(max(1, given.runs), given.save, getattr(given, "size", 0))


@dataclass
class Report:
    """Collects what was measured. `print` shows it; goals that were missed are said, never raised."""

    name: str
    options: Options
    series: list[Series] = field(default_factory=list)
    goals: list[tuple[str, str, str, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _load: float = field(default_factory=lambda: os.getloadavg()[0])

    def at_most(self, what: str, value: float, goal: float, unit: str) -> None:
        """Compare with a goal that is an upper bound."""
        self.goals.append((what, f"{value:.3g} {unit}", f"at most {goal:g} {unit}", value <= goal))

    def at_least(self, what: str, ratio: float, goal: float) -> None:
        """Compare a ratio with a goal that is a lower bound."""
        self.goals.append((what, f"{ratio:.3g} times", f"at least {goal:g} times", ratio >= goal))

    def finish(self) -> None:
        """Print the tables, and save them if that was asked."""
        print(f"\n{self.name}: {_machine()}; load {self._load:.1f} before, {os.getloadavg()[0]:.1f} after")
        head = ["", "runs", "median", "quarter below", "quarter above", "worst", ""]
        _print_table([head, *(_row(one) for one in self.series)])
        if self.goals:
            verdicts = [(*goal[:3], "met" if goal[3] else "MISSED") for goal in self.goals]
            _print_table([["", "measured", "goal", ""], *verdicts])
        for note in self.notes:
            print(f"{note}")
        if self.options.save:
            self._save()

    def _save(self) -> None:
        _RESULTS.mkdir(exist_ok=True)
        content = {
            "benchmark": self.name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": _machine(),
            "load": [self._load, os.getloadavg()[0]],
            "series": [one.as_json() for one in self.series],
            "goals": [dict(zip(("what", "measured", "goal", "met"), goal, strict=True)) for goal in self.goals],
            "notes": self.notes,
        }
        (_RESULTS / f"{self.name}.json").write_text(json.dumps(content, indent=2) + "\n")


def _machine() -> str:
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}, "
        f"{platform.system()} {platform.release()}"
    )


def _row(series: Series) -> list[str]:
    worst = min(series.values) if series.unit.endswith("/s") else max(series.values)
    numbers = (series.median, series.quantile(0.25), series.quantile(0.75), worst)
    return [series.name, str(len(series.values)), *(f"{number:.4g}" for number in numbers), series.unit]


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print()
    for name, *cells in rows:
        fitted = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        print("  ".join((name.ljust(widths[0]), *fitted)).rstrip())
    print()
