"""What a scan's findings come to, in a word and in a sentence."""

from collections.abc import Sequence

from studiolo.contract.scans import Finding, Severity, Verdict
from studiolo.packages.scan.rules import UNKNOWNS


def count_open(findings: Sequence[Finding]) -> dict[Severity, int]:
    """Return how many findings of each severity nobody accepted, worst first; those without any are left out."""
    open_ones = [finding.severity for finding in findings if finding.accepted is None]
    return {severity: open_ones.count(severity) for severity in reversed(Severity) if severity in open_ones}


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """Return the verdict. What is merely worth knowing (`info`) does not count; what stayed unknown is not clean."""
    open_ones = [one for one in findings if one.accepted is None and one.severity is not Severity.INFO]
    if not open_ones:
        return "clean"
    return "incomplete" if all(one.rule in UNKNOWNS for one in open_ones) else "findings"


def summary_of(findings: Sequence[Finding]) -> str:
    """Return the verdict as a sentence."""
    verdict, counts = verdict_of(findings), count_open(findings)
    numbers = ", ".join(f"{number} {severity.value}" for severity, number in counts.items())
    accepted = sum(finding.accepted is not None for finding in findings)
    rest = f"; {accepted} accepted" if accepted else ""
    if verdict == "clean":
        return f"Nothing was found that needs you{f' ({numbers})' if numbers else ''}{rest}."
    total = sum(counts.values())
    words = f"{total} {'finding' if total == 1 else 'findings'}: {numbers}{rest}."
    return f"Not known to be clean. {words}" if verdict == "incomplete" else words
