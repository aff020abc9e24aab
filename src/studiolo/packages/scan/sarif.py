"""A report as SARIF. Source: OASIS, Static Analysis Results Interchange Format 2.1.0."""

import json
from typing import Any
from urllib.parse import quote

from studiolo import __version__
from studiolo.contract.scans import Finding, ScanReport, Severity
from studiolo.packages.scan.rules import RULES, Rule
from studiolo.packages.scan.text import place_of

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {
    Severity.INFO: "note",
    Severity.LOW: "note",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "error",
}
# What viewers of security results sort by: a number as of CVSS, written as text.
_SCORES = {Severity.INFO: "0.0", Severity.LOW: "3.0", Severity.MEDIUM: "5.5", Severity.HIGH: "8.0"} | {
    Severity.CRITICAL: "9.5"
}


def write_sarif(report: ScanReport) -> str:
    """Return the report as one SARIF log of one run."""
    used = sorted({finding.rule for finding in report.findings if finding.rule in RULES})
    driver = {"name": "Studiolo", "version": __version__, "rules": [_rule(RULES[name]) for name in used]}
    invocation = {"executionSuccessful": True, "endTimeUtc": f"{report.at:%Y-%m-%dT%H:%M:%SZ}"}
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, used) for finding in report.findings],
        "properties": {"verdict": report.verdict, "isolation": report.isolation, "enforcement": report.enforcement},
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.next_step},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["security"], "security-severity": _SCORES[rule.severity]},
    }


def _result(finding: Finding, used: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.what}. {finding.why} {finding.next_step}"},
        "locations": [_location(finding)],
        "partialFingerprints": {"studiolo/v1": finding.id},
        "properties": {"severity": finding.severity.value},
    }
    if finding.rule in used:
        result["ruleIndex"] = used.index(finding.rule)
    if finding.accepted is not None:
        result["suppressions"] = [{"kind": "external", "justification": finding.accepted.reason}]
    return result


def _location(finding: Finding) -> dict[str, Any]:
    place = finding.place
    logical = {"fullyQualifiedName": place_of(place)}
    if place.path is None:
        return {"logicalLocations": [logical]}
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(place.path)}}
    # Lines of a cell are no lines of the notebook's file.
    if place.line is not None and place.cell is None:
        physical["region"] = {"startLine": place.line}
    return {"physicalLocation": physical, "logicalLocations": [logical]}
