"""How long do `studiolo --help` and a listing take, as whole processes?

The listing asks a real platform through its front door. Beside them, what they cannot go below: Python that does
nothing, and `jupyter --help` as a program of the same kind.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from _measure import alternate
from _platform import studiolo
from _processes import clean_environment
from _report import Report, options

_FOLDER = Path(sys.executable).parent
_WORKSPACES = 20


def main() -> None:
    """Measure and report."""
    report = Report("cli", options(__doc__))
    with studiolo() as platform:
        for number in range(_WORKSPACES):
            platform.client.ask("POST", "/api/v1/jupyter/workspaces", {"name": f"listed-{number}"})
        report.series = alternate(
            report.options.runs,
            "s",
            {
                "python -c pass": _whole(clean_environment(), "python", "-c", "pass"),
                "jupyter --help": _whole(clean_environment(), "jupyter", "--help"),
                "studiolo --help": _whole(platform.environment, "studiolo", "--help"),
                f"studiolo list, {_WORKSPACES} workspaces": _whole(platform.environment, "studiolo", "list"),
            },
        )
    _, _, overview, listing = report.series
    report.at_most("studiolo --help, median", overview.median * 1000, 150, "ms")
    report.at_most("studiolo list, median", listing.median * 1000, 400, "ms")
    report.finish()


def _whole(environment: Mapping[str, str], program: str, *args: str) -> Callable[[], float]:
    """Return a contender: one process from its start to its end, in seconds."""

    def run() -> float:
        began = time.perf_counter()
        subprocess.run([_FOLDER / program, *args], env=environment, capture_output=True, check=True, timeout=60)
        return time.perf_counter() - began

    return run


if __name__ == "__main__":
    main()
