"""The process that scans: `python -m studiolo.packages.scan.worker`, a ScanJob on its input, ScanSteps on its output.

It reads foreign content only in children that may be lost (see limited), and never runs any of it.
"""

import os
import sys

from studiolo.packages.scan.job import ScanJob, ScanStep
from studiolo.packages.scan.scanning import scan


def main() -> None:
    """Scan, and write one JSON text a line: steps, and the outcome last."""
    # Others on the machine come first.
    os.nice(5)
    job = ScanJob.model_validate_json(sys.stdin.buffer.read())
    outcome = scan(job, lambda phase, percent: _write(ScanStep(phase=phase, percent=percent)), _log)
    _write(ScanStep(phase="Done", percent=100, outcome=outcome))


def _write(step: ScanStep) -> None:
    sys.stdout.write(step.model_dump_json() + "\n")
    sys.stdout.flush()


def _log(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
