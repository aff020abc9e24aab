"""A report as text for a terminal or a mail."""

import textwrap
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from studiolo.contract.scans import Finding, Place, ScanReport
from studiolo.packages.scan.rules import RULES

_WIDTH = 80


def write_text(report: ScanReport) -> str:
    """Return the report as lines: the verdict and what is enforced first, then findings, worst first."""
    return "\n".join(_lines(report)) + "\n"


def place_of(place: Place) -> str:
    """Return where something was found, on one line."""
    cell = f", cell {place.cell_number} ({place.cell})" if place.cell_number is not None else ""
    line = f", line {place.line}" if place.line is not None else ""
    return place.package or f"{place.path or 'the environment'}{cell}{line}"


def _lines(report: ScanReport) -> Iterator[str]:
    yield _wrapped(f"{report.workspace.owner}/{report.workspace.name}: {report.summary}")
    yield _wrapped(f"Isolation {report.isolation}. {report.enforcement}")
    yield _wrapped(f"Scanned {_time(report.at)} in {report.seconds:.1f} s: {_coverage(report)}")
    open_ones = [finding for finding in report.findings if finding.accepted is None]
    for severity, group in groupby(open_ones, key=lambda finding: finding.severity):
        yield from ("", severity.value.upper())
        for finding in group:
            yield from _finding(finding)
    accepted = [finding for finding in report.findings if finding.accepted is not None]
    if accepted:
        yield from ("", "ACCEPTED")
        for finding in accepted:
            yield _wrapped(f"{finding.id}  {place_of(finding.place)}: {finding.what}", before="  ")
            yield _wrapped(_acceptance(finding), before="    ")


def _finding(finding: Finding) -> Iterator[str]:
    yield f"  {finding.id}  {RULES[finding.rule].title if finding.rule in RULES else finding.rule}"
    told = (("Where:", place_of(finding.place)), ("What:", finding.what), ("Why:", finding.why))
    for name, text in (*told, ("Next:", finding.next_step)):
        yield _wrapped(f"{name:<7}{text}", before="    ", hanging=7)


def _acceptance(finding: Finding) -> str:
    accepted = finding.accepted
    assert accepted is not None
    by = f"{accepted.by}" if accepted.by else "baseline"
    return f"Accepted by {by}{f', {_time(accepted.at)}' if accepted.at else ''}: {accepted.reason}"


def _coverage(report: ScanReport) -> str:
    seen = report.coverage
    parts = [f"packages: {seen.packages}", f"files: {seen.files}", f"notebooks: {seen.notebooks}"]
    if (data := seen.vulnerabilities) is not None:
        parts.append(
            f"advisories: {data.entries}, as of {data.exported_at:%-d %b %Y}, packages unknown: {data.unknown}"
        )
    else:
        parts.append("no vulnerability data")
    if seen.skipped_folders:
        parts.append(f"folders of tools not read: {len(seen.skipped_folders)}")
    return "; ".join(parts) + "."


def _wrapped(text: str, *, before: str = "", hanging: int = 0) -> str:
    # A path or a name is found again by copying it, so none is broken.
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=before,
        subsequent_indent=before + " " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _time(at: datetime) -> str:
    return f"{at:%-d %b %Y %H:%M} UTC"
